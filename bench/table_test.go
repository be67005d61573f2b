package main

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	contenders := []contender{{name: "old", kind: hub}, {name: "new", kind: hub}, {name: "socat", kind: socat}}
	work := row{name: "work", kinds: everybody(), lines: []line{{name: "time", unit: "µs"}, {name: "rate", unit: "GB/s", more: true}, {name: "evenness", more: true}}}
	m := newMeasured(work, len(contenders), 2)
	m.notes = []string{"a note"}
	m.values = [][][]float64{
		{{1234, 1234}, {617, 2468}, {nan, nan}},
		{{2, 4}, {3, 5}, {0.5, 2}},
		{{1, 1}, {0.5, nan}, {1, 0}},
	}
	var out strings.Builder
	if err := printReport(&out, "about it", contenders, []measured{m}); err != nil {
		t.Fatal(err)
	}
	want := `about it

Medians of the rounds. ÷ is the median of the ratios within a round (and the smallest – the largest of them). ↓ less is better, ↑ more.

|                | unit   |   old |   new | socat |        old ÷ socat |             new ÷ old |           new ÷ socat |
|----------------|--------|------:|------:|------:|-------------------:|----------------------:|----------------------:|
| work: time     | µs ↓   | 1,234 | 1,543 |     — |                  — |   1.25 (0.500 – 2.00) |                     — |
| work: rate     | GB/s ↑ |  3.00 |  4.00 |  1.25 | 3.00 (2.00 – 4.00) |    1.38 (1.25 – 1.50) |    4.25 (2.50 – 6.00) |
| work: evenness | ↑      |  1.00 | 0.500 | 0.500 | 1.00 (1.00 – 1.00) | 0.500 (0.500 – 0.500) | 0.500 (0.500 – 0.500) |

- a note
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestReportByRow(t *testing.T) {
	contenders := []contender{{name: "old", kind: hub}, {name: "new", kind: hub}, {name: "socat", kind: socat}, {name: "direct", kind: direct}, {name: "ser2net", kind: ser2net}}
	lines := []line{{name: "time", unit: "µs"}, {name: "rate", unit: "GB/s", more: true}}
	all := []measured{
		newMeasured(row{name: "work", kinds: everybody(), lines: lines[:1]}, len(contenders), 1),
		newMeasured(row{table: "kinds", name: "tcp", kinds: everybody(), lines: lines}, len(contenders), 1),
		newMeasured(row{table: "kinds", name: "pty", kinds: everybody(), lines: lines}, len(contenders), 1),
	}
	all[1].values = [][][]float64{{{2}, {4}, {4}, {1}, {nan}}, {{10}, {20}, {5}, {nan}, {nan}}}
	all[2].values[0] = [][]float64{{3}, {nan}, {nan}, {1}, {nan}}
	var out strings.Builder
	if err := printReport(&out, "about it", contenders, all); err != nil {
		t.Fatal(err)
	}
	want := `about it

Medians of the rounds. ÷ is the median of the ratios within a round (and the smallest – the largest of them). ↓ less is better, ↑ more.

|            | unit | old | new | socat | direct | old ÷ socat | old ÷ direct | new ÷ old | new ÷ socat | new ÷ direct |
|------------|------|----:|----:|------:|-------:|------------:|-------------:|----------:|------------:|-------------:|
| work: time | µs ↓ |   — |   — |     — |      — |           — |            — |         — |           — |            — |

Each cell is of a hub; in brackets ÷ socat, ÷ direct.

| kinds    |         time, µs ↓ |   rate, GB/s ↑ |
|----------|-------------------:|---------------:|
| tcp: old | 2.00 (0.500, 2.00) | 10.0 (2.00, —) |
| tcp: new |  4.00 (1.00, 4.00) | 20.0 (4.00, —) |
| pty: old |     3.00 (—, 3.00) |              — |
| pty: new |                  — |              — |
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestReportWithBase compares each hub with itself in another row, and with that row's contenders.
func TestReportWithBase(t *testing.T) {
	contenders := []contender{{name: "old", kind: hub}, {name: "new", kind: hub}, {name: "socat", kind: socat}}
	with := func(name string, rounds int, values ...[]float64) measured {
		m := newMeasured(row{table: "ways", base: "plain", name: name, kinds: everybody(), lines: []line{{name: "time", unit: "µs"}}}, len(contenders), rounds)
		m.values[0] = values
		return m
	}
	plain := with("plain", 2, []float64{2, 4}, []float64{1, 1}, []float64{4, 4})
	fancy := with("fancy", 2, []float64{4, 8}, []float64{3, 3}, []float64{nan, nan})
	tests := []struct {
		name string
		rows []measured
		want string
	}{
		{"both rows", []measured{plain, fancy}, `
| ways       |         time, µs ↓ |
|------------|-------------------:|
| plain: old | 3.00 (1.00, 0.750) |
| plain: new | 1.00 (1.00, 0.250) |
| fancy: old |  6.00 (2.00, 1.50) |
| fancy: new | 3.00 (3.00, 0.750) |
`},
		{"without the base", []measured{fancy}, `
| ways       |  time, µs ↓ |
|------------|------------:|
| fancy: old | 6.00 (—, —) |
| fancy: new | 3.00 (—, —) |
`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			if err := printReport(&out, "about it", contenders, test.rows); err != nil {
				t.Fatal(err)
			}
			_, got, found := strings.Cut(out.String(), "in brackets ÷ its own where plain, ÷ socat.\n")
			if !found || got != test.want {
				t.Errorf("got\n%s\nwant\n%s", out.String(), test.want)
			}
		})
	}
}

func TestNumber(t *testing.T) {
	for value, want := range map[float64]string{
		0: "0.000", 0.0123: "0.012", 0.5: "0.500", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 1234.5: "1,235", 1_002_003: "1,002,003",
	} {
		if got := number(value); got != want {
			t.Errorf("%v is written %s, want %s", value, got, want)
		}
	}
}
