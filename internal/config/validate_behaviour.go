package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// maxBuffer is the largest buffer_size. It is memory that the hub needs.
const maxBuffer = 64 << 20

// A delay is long enough not to spin, and short enough to be meant.
const (
	minDelay = 10 * time.Millisecond
	maxDelay = 24 * time.Hour
)

// builtin is how a link behaves that says nothing of it.
func builtin() Link {
	return Link{
		Restart:      Restart{Policy: Always, Delay: 200 * time.Millisecond, MaxDelay: 30 * time.Second},
		Absent:       AbsentDiscard,
		BufferSize:   64 << 10,
		OnDisconnect: OnDisconnectKeep,
		Transcript:   builtinTranscript(),
	}
}

// behave applies what is written under key to a link.
func (c *checker) behave(link *Link, entry behaviourEntry, key string) {
	if entry.Restart != nil {
		c.restart(&link.Restart, entry.Restart, key+".restart")
	}
	if entry.Absent != nil {
		link.Absent = oneOf(c, key+".absent", *entry.Absent, AbsentDiscard, AbsentHold, AbsentBuffer)
	}
	if entry.BufferSize != nil {
		link.BufferSize = int(c.size(key+".buffer_size", *entry.BufferSize, "", 1, maxBuffer))
	}
	if entry.OnDisconnect != nil {
		link.OnDisconnect = oneOf(c, key+".on_disconnect", *entry.OnDisconnect, OnDisconnectKeep, OnDisconnectClose)
	}
	if entry.Scrollback != nil {
		link.Scrollback = int(c.size(key+".scrollback", *entry.Scrollback, "0 (none)", minScrollback, maxScrollback))
	}
	if entry.Transcript != nil {
		link.Transcript = c.transcript(link.Transcript, entry.Transcript, key+".transcript")
	}
	if entry.Disabled != nil {
		link.Disabled = *entry.Disabled
	}
}

func (c *checker) restart(restart *Restart, entry *restartEntry, key string) {
	if entry.Policy != nil {
		restart.Policy = oneOf(c, c.longOrShort(key, "policy"), *entry.Policy, Always, OnFailure, Never)
	}
	if entry.Delay != nil {
		restart.Delay = c.duration(key+".delay", *entry.Delay, minDelay, maxDelay)
	}
	if entry.MaxDelay != nil {
		restart.MaxDelay = c.duration(key+".max_delay", *entry.MaxDelay, minDelay, maxDelay)
	}
	if entry.MaxFailures != nil {
		restart.MaxFailures = *entry.MaxFailures
		if restart.MaxFailures < 0 {
			c.add(key+".max_failures", "%d is negative; 0 means that there is no limit", restart.MaxFailures)
		}
	}
	if restart.Delay > restart.MaxDelay && restart.MaxDelay > 0 {
		c.add(key+".delay", "%s is longer than max_delay, which is %s", restart.Delay, restart.MaxDelay)
	}
}

// longOrShort is the place of what is named in the long form of key, and stands alone in the short form.
func (c *checker) longOrShort(key, name string) string {
	if long := key + "." + name; c.written(long) {
		return long
	}
	return key
}

// size reads a number of bytes between two others. Where 0 is one, too, zero says so, and what it means.
func (c *checker) size(key string, text sizeText, zero string, least, most uint64) int64 {
	size, err := humanize.ParseBytes(string(text))
	switch {
	case err != nil:
		c.add(key, "%q is not a size, such as 64KiB", text)
	case size == 0 && zero != "":
	case size < least || size > most:
		if zero != "" {
			zero += ", or "
		}
		c.add(key, "%s is out of range; it can be %sfrom %s to %s", text, zero, briefSize(least), briefSize(most))
	}
	return int64(min(size, most))
}

// briefSize writes a size as people do: 1 KiB, and not 1.0 KiB.
func briefSize(size uint64) string {
	if size == 1 {
		return "1 byte"
	}
	return strings.Replace(humanize.IBytes(size), ".0 ", " ", 1)
}

// duration reads a span of time between two others.
func (c *checker) duration(key string, text timeText, least, most time.Duration) time.Duration {
	d, err := time.ParseDuration(string(text))
	switch {
	case err != nil:
		c.add(key, "%q is not a time, such as 200ms, 30s or 5m", text)
	case d < least || d > most:
		c.add(key, "%s is out of range; it can be from %s to %s", text, brief(least), brief(most))
	}
	return d
}

// brief writes a span of time as people do: 24h, and not 24h0m0s.
func brief(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// oneOf returns text if it is one of the values, and notes a fault otherwise.
func oneOf[T ~string](c *checker, key, text string, values ...T) T {
	if slices.Contains(values, T(text)) {
		return T(text)
	}
	names := make([]string, len(values))
	for i, value := range values {
		names[i] = string(value)
	}
	c.add(key, "%q is not one of %s", text, strings.Join(names, ", "))
	return T(fmt.Sprint(values[0]))
}
