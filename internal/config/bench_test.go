package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"serialhub/internal/config"
)

// BenchmarkLoad is what a reload costs before anything is compared.
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var text strings.Builder
			text.WriteString("links:\n")
			for i := range n {
				fmt.Fprintf(&text, "  - name: link-%d\n    a: /run/serialhub/link-%[1]d-a\n    b: /run/serialhub/link-%[1]d-b\n", i)
			}
			path := filepath.Join(b.TempDir(), "links.yaml")
			if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if c, err := config.Load(path); err != nil || len(c.Links) != n {
					b.Fatal(err)
				}
			}
		})
	}
}
