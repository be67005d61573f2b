package table_test

import (
	"fmt"
	"testing"

	"serialhub/internal/rest"
	"serialhub/internal/table"
)

// BenchmarkLinks draws 10,000 links.
func BenchmarkLinks(b *testing.B) {
	links := make([]rest.Link, 10_000)
	for i := range links {
		links[i] = link(fmt.Sprint("vm", i), rest.LinkUp, 0, local(i, "qemu-system-x86_64", fmt.Sprint("guest-", i)), local(i, "gdb", ""), uint64(i), 1)
	}
	for b.Loop() {
		table.Style{Width: 80, Now: now}.Links(links, nil)
	}
}
