package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"serialhub/internal/testenv"
)

func TestMain(m *testing.M) {
	if isClient(os.Args) {
		serveClient()
		return
	}
	goleak.VerifyTestMain(m)
}

// tinySize is enough to do everything once.
func tinySize() size {
	return size{memory: []int{1, 4}, busy: 4, returns: 3, start: []int{4}, replace: []int{2}, operate: 4, most: 20, socats: 2}
}

// tinyOptions measure the hub that is built from this clone, in an empty folder that has to be empty again afterwards.
func tinyOptions(t *testing.T) options {
	t.Helper()
	dir := testenv.Dir(t)
	program := filepath.Join(dir, "serialhub")
	if out, err := exec.Command("go", "build", "-o", program, "serialhub/cmd/serialhub").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	o := options{rounds: 1, time: 20 * time.Millisecond, only: regexp.MustCompile("")}
	if err := o.hubs.Set(program); err != nil {
		t.Fatal(err)
	}
	sockets := filepath.Join(dir, "t")
	if err := os.Mkdir(sockets, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", sockets)
	t.Setenv("GORACE", "atexit_sleep_ms=0") // a client with the race detector would take a second to end
	testenv.NoDescriptorsLeft(t)
	t.Cleanup(func() {
		if left, err := os.ReadDir(sockets); err != nil || len(left) > 0 {
			t.Errorf("in the temporary folder there are %v, %v", left, err)
		}
	})
	return o
}

// contendersFor leaves socat out where it is not installed.
func contendersFor(t *testing.T, o options) []contender {
	t.Helper()
	var warning bytes.Buffer
	list, err := o.contenders(&warning)
	if err != nil {
		t.Fatal(err)
	}
	if warning.Len() > 0 {
		t.Log(warning.String())
	}
	return list
}

func TestEveryRow(t *testing.T) {
	o := tinyOptions(t)
	list := rows(tinySize())
	var out, progress bytes.Buffer
	if err := compare(t.Context(), o, contendersFor(t, o), list, &out, &progress); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	for _, r := range list {
		if r.table != "" {
			_, rest, _ := strings.Cut(out.String(), "| "+r.name+" ")
			cells := strings.Split(rest, "|")
			measured := len(r.lines)
			if r.name == "listen unix" || strings.HasSuffix(r.name, ", both") {
				measured -= 2 // one direction only
			}
			if r.table == watchTable && !strings.HasSuffix(r.name, "raw") {
				measured-- // what the taps have seen cannot be told
			}
			if r.name == unasked {
				measured-- // nobody gets an answer
			}
			for i := range measured {
				if i+1 >= len(cells) || !strings.Contains(cells[i+1], "(") {
					t.Errorf("the hub has no value for %s: %s", r.title(), r.lines[i].name)
				}
			}
			continue
		}
		for _, line := range r.lines {
			_, rest, found := strings.Cut(out.String(), "| "+r.name+": "+line.name+" ")
			if fields := strings.Split(rest, "|"); !found || len(fields) < 3 || strings.Contains(fields[2], "—") {
				t.Errorf("the hub has no value for %s: %s", r.name, line.name)
			}
		}
	}
	if !strings.Contains(out.String(), "20 links for hub") {
		t.Error("no note says how many links fit")
	}
}

// TestInterrupted ends a run that would take a minute.
func TestInterrupted(t *testing.T) {
	o := tinyOptions(t)
	o.time, o.only = time.Minute, regexp.MustCompile("^bulk one way$")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var out, progress bytes.Buffer
	err := compare(ctx, o, contendersFor(t, o), rows(tinySize()), &out, &progress)
	if err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("it returned %v", err)
	}
}

// TestHubThatFails shows what the hub had to say.
func TestHubThatFails(t *testing.T) {
	o := tinyOptions(t)
	program := filepath.Join(testenv.Dir(t), "hub")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho no luck today >&2\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	o.hubs = nil
	if err := o.hubs.Set("unlucky=" + program); err != nil {
		t.Fatal(err)
	}
	var out, progress bytes.Buffer
	err := compare(t.Context(), o, contendersFor(t, o), rows(tinySize()), &out, &progress)
	if err == nil || !strings.Contains(err.Error(), "no luck today") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("it returned %v", err)
	}
}

func TestBytesAreCompared(t *testing.T) {
	sent := Result{Bytes: []int64{64, 64}}
	if err := compareBytes(sent, Result{Bytes: []int64{64, 64}}); err != nil {
		t.Error(err)
	}
	if err := compareBytes(sent, Result{Bytes: []int64{64, 63}}); err == nil {
		t.Error("a byte is missing, and nobody noticed")
	}
}

func TestUsage(t *testing.T) {
	program := filepath.Join(testenv.Dir(t), "hub")
	if err := os.WriteFile(program, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args string
		says string
	}{
		{"", "-hub"},
		{"-hub /nonexistent/hub", "no such file"},
		{"-hub /", "not a program"},
		{"-hub PROGRAM -hub PROGRAM", "name them"},
		{"-hub direct=PROGRAM", "name them"},
		{"-hub PROGRAM -rounds 0", "more than 0"},
		{"-hub PROGRAM -only (", "missing closing )"},
		{"-hub PROGRAM -only nothing", "no row"},
		{"-hub PROGRAM more", "only flags"},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			var out, progress bytes.Buffer
			err := run(t.Context(), strings.Fields(strings.ReplaceAll(test.args, "PROGRAM", program)), &out, &progress)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("it returned %v, which does not say %q", err, test.says)
			}
		})
	}
}
