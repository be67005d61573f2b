package metrics_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

const (
	alertsFile    = "../../configs/prometheus/alerts.yaml"
	dashboardFile = "../../configs/prometheus/dashboard.json"
)

// known are the labels of each series that the hub has.
type known map[string][]string

var (
	line  = regexp.MustCompile(`(?m)^([a-z_]+)(?:\{(.*)\})? `)
	label = regexp.MustCompile(`([a-z_]+)="`)
)

func knownSeries(t *testing.T) known {
	t.Helper()
	k := known{}
	for _, found := range line.FindAllStringSubmatch(scrape(t, newHub(), ""), -1) {
		k[found[1]] = nil
		for _, name := range label.FindAllStringSubmatch(found[2], -1) {
			k[found[1]] = append(k[found[1]], name[1])
		}
	}
	return k
}

// scraped are the same series as Prometheus keeps them, and its own.
func (k known) scraped() known {
	all := known{"up": {"job", "instance"}}
	for name, labels := range k {
		all[name] = append(slices.Clone(labels), "job", "instance")
	}
	return all
}

// hasLabel tells whether any series has a label of that name.
func (k known) hasLabel(name string) bool {
	for _, labels := range k {
		if slices.Contains(labels, name) {
			return true
		}
	}
	return false
}

var (
	tokens   = regexp.MustCompile(`"[^"]*"|\[[^\]]*\]|[a-zA-Z_:][a-zA-Z0-9_:]*|=~|!~|!=|==|[-+*/(){},=<>]|[0-9.]+|\S`)
	word     = regexp.MustCompile(`^[a-zA-Z_:]`)
	operator = []string{"and", "or", "unless", "bool", "offset"}
	grouping = []string{"by", "without", "on", "ignoring", "group_left", "group_right"}
)

// check returns what is wrong with the names in an expression of PromQL, and which series it asks for. Whether the expression is one at all,
// promtool tells (make e2e).
func (k known) check(expr string) (faults, used []string) {
	list := append(tokens.FindAllString(expr, -1), "")
	series, within := "", "" // the series whose braces these are; { or, after by and the like, (
	for i, token := range list {
		next := ""
		if i+1 < len(list) {
			next = list[i+1]
		}
		switch {
		case token == "{":
			within = "{"
		case token == "(" && i > 0 && slices.Contains(grouping, list[i-1]):
			within = "("
		case token == "}" || token == ")":
			within = ""
		case !word.MatchString(token) || slices.Contains(grouping, token) || slices.Contains(operator, token):
		case within == "{":
			if !slices.Contains(k[series], token) {
				faults = append(faults, fmt.Sprintf("%s has no label %s", series, token))
			}
		case within == "(":
			if !k.hasLabel(token) {
				faults = append(faults, "no series has a label "+token)
			}
		case next == "(" || slices.Contains(grouping, next): // a function, or an aggregation
		default:
			series = token
			used = append(used, series)
			if _, found := k[series]; !found {
				faults = append(faults, "there is no series "+series)
			}
		}
	}
	return faults, used
}

func TestNamesInExpressions(t *testing.T) {
	k := known{"a_total": {"link", "end"}, "b": {"link"}}
	tests := []struct {
		expr, faults, used string
	}{
		{`a_total`, "", "a_total"},
		{`rate(a_total{link=~"x|y", end="a"}[5m]) / ignoring (end) b{link!="y"} > 0.5`, "", "a_total b"},
		{`sum by (link) (a_total) unless on (link) b == 1`, "", "a_total b"},
		{`sum(a_total) by (end)`, "", "a_total"},
		{`c`, "there is no series c", "c"},
		{`b{end="a"}`, "b has no label end", "b"},
		{`sum by (state) (b)`, "no series has a label state", "b"},
	}
	for _, test := range tests {
		faults, used := k.check(test.expr)
		if strings.Join(faults, "; ") != test.faults || strings.Join(used, " ") != test.used {
			t.Errorf("%s: %q, uses %q", test.expr, faults, used)
		}
	}
}

var (
	legendLabel     = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)
	annotationLabel = regexp.MustCompile(`\$labels\.(\w+)`)
	choice          = regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)
)

// checkLabels holds labels that a text shows against those that there are.
func checkLabels(t *testing.T, k known, text string, pattern *regexp.Regexp) {
	t.Helper()
	for _, found := range pattern.FindAllStringSubmatch(text, -1) {
		if !k.hasLabel(found[1]) {
			t.Errorf("%q: no series has a label %s", text, found[1])
		}
	}
}

func TestAlerts(t *testing.T) {
	text, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	k, alerts := knownSeries(t).scraped(), 0
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			alerts++
			if faults, used := k.check(rule.Expr); len(faults) > 0 || len(used) == 0 {
				t.Errorf("%s: %s: %q, uses %q", rule.Alert, rule.Expr, faults, used)
			}
			for _, text := range rule.Annotations {
				checkLabels(t, k, text, annotationLabel)
			}
		}
	}
	if alerts < 5 {
		t.Errorf("%d alerts", alerts)
	}
}

// dashboard is what is checked of one of Grafana's.
type dashboard struct {
	SchemaVersion int
	Templating    struct {
		List []struct {
			Name, Type string
			Query      any
		}
	}
	Panels []struct {
		ID         int
		Title      string
		GridPos    struct{ X, Y, W, H int }
		Datasource struct{ UID string }
		Targets    []struct {
			Expr, LegendFormat string
			Datasource         struct{ UID string }
		}
	}
}

func TestDashboard(t *testing.T) {
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	k, shown, taken, ids := knownSeries(t).scraped(), map[string]bool{}, map[[2]int]string{}, map[int]bool{}
	check := func(what, expr string) {
		faults, used := k.check(expr)
		if len(faults) > 0 || len(used) == 0 {
			t.Errorf("%s: %s: %q, uses %q", what, expr, faults, used)
		}
		for _, series := range used {
			shown[series] = true
		}
	}
	for _, variable := range d.Templating.List {
		query, ok := variable.Query.(map[string]any)
		if !ok {
			continue // the source of the data
		}
		found := choice.FindStringSubmatch(fmt.Sprint(query["query"]))
		if found == nil {
			t.Errorf("variable %s: %v", variable.Name, query)
			continue
		}
		check(variable.Name, found[1])
		if !k.hasLabel(found[2]) {
			t.Errorf("variable %s: no series has a label %s", variable.Name, found[2])
		}
	}
	for _, panel := range d.Panels {
		if ids[panel.ID] || len(panel.Targets) == 0 || panel.Datasource.UID != "${datasource}" {
			t.Errorf("%s: its id is that of another, or it has no targets, or a source of its own", panel.Title)
		}
		ids[panel.ID] = true
		for _, target := range panel.Targets {
			check(panel.Title, target.Expr)
			checkLabels(t, k, target.LegendFormat, legendLabel)
			if target.Datasource.UID != "${datasource}" {
				t.Errorf("%s has the source %s", panel.Title, target.Datasource.UID)
			}
		}
		for x := range panel.GridPos.W {
			for y := range panel.GridPos.H {
				at := [2]int{panel.GridPos.X + x, panel.GridPos.Y + y}
				if taken[at] != "" || at[0] >= 24 {
					t.Fatalf("%s and %s are both at %v, or that is beyond the edge", panel.Title, taken[at], at)
				}
				taken[at] = panel.Title
			}
		}
	}
	for name := range k {
		if strings.HasPrefix(name, "serialhub_") && !shown[name] {
			t.Errorf("%s is not on the dashboard", name)
		}
	}
	if d.SchemaVersion < 38 { // Grafana 10's
		t.Errorf("the schema is version %d", d.SchemaVersion)
	}
}
