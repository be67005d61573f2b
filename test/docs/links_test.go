package docs

import (
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"serialhub/test/page"
)

// TestLinks follows each link of each page to the file and the heading that it names. Those to other sites are not fetched.
func TestLinks(t *testing.T) {
	files := readTree(t)
	pages := files.pages(t)
	for name, p := range pages {
		for _, link := range p.Links {
			if complaint := follow(files, pages, name, link.Target); complaint != "" {
				t.Errorf("%s:%d: [%s]: %s", name, link.Line, link.Target, complaint)
			}
		}
	}
}

// follow says what is wrong with a link on a page; "" if nothing is.
func follow(files tree, pages map[string]*page.Page, from, target string) string {
	address, err := url.Parse(target)
	switch {
	case err != nil:
		return err.Error()
	case address.Scheme == "https":
		if address.Host == "" || strings.ContainsAny(target, " \t") {
			return "it has no host"
		}
		return ""
	case address.Scheme != "" || address.Host != "":
		return "it is neither https nor a file of the tree"
	}
	to := from
	if address.Path != "" {
		to = path.Join(path.Dir(from), address.Path)
	}
	if !files[to] {
		return "the tree has no " + to
	}
	if address.Fragment == "" {
		return ""
	}
	p := pages[to]
	if p == nil {
		return to + " is no page, so it has no headings"
	}
	if !slices.Contains(p.IDs, address.Fragment) {
		return to + " has no such heading; it has " + strings.Join(p.IDs, ", ")
	}
	return ""
}

// TestFollow shows that a link that leads nowhere is found.
func TestFollow(t *testing.T) {
	files := tree{"README.md": true, "docs": true, "docs/a.md": true, "configs/links.yaml": true}
	pages := map[string]*page.Page{"README.md": {IDs: []string{"top"}}, "docs/a.md": {IDs: []string{"here"}}}
	for target, fine := range map[string]bool{
		"#here": true, "#there": false, "../README.md": true, "../README.md#top": true, "../README.md#here": false, "README.md": false, "./": true,
		"../configs/links.yaml": true, "../configs/links.yaml#top": false, "https://example.org/a#b": true, "https:///a": false,
		"http://example.org": false, "/README.md": false, "%zz": false,
	} {
		if complaint := follow(files, pages, "docs/a.md", target); (complaint == "") != fine {
			t.Errorf("%s: %q, fine: %v", target, complaint, fine)
		}
	}
}

// TestNoOrphans wants each page to be found by who begins at the README and clicks.
func TestNoOrphans(t *testing.T) {
	pages := readTree(t).pages(t)
	reached := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		p := pages[name]
		if p == nil || reached[name] {
			return
		}
		reached[name] = true
		for _, link := range p.Links {
			if target, _, _ := strings.Cut(link.Target, "#"); target != "" && !strings.Contains(target, "://") {
				to := path.Join(path.Dir(name), target)
				visit(to)
				visit(path.Join(to, "README.md")) // which GitHub shows of a folder
			}
		}
	}
	visit("README.md")
	for name := range pages {
		if !reached[name] {
			t.Errorf("no click leads from README.md to %s", name)
		}
	}
}

// ofTree is what names a file of the tree. A name with a place to fill in does not.
var ofTree = regexp.MustCompile(`^(\.ci|api|bench|cmd|configs|docs|internal|packaging|test|tools)/[\w.@/-]*$`)

// TestNamedFiles wants files that pages name, without a link to them, to be there.
func TestNamedFiles(t *testing.T) {
	files := readTree(t)
	named := 0
	for name, p := range files.pages(t) {
		if name == "CHANGELOG.md" {
			continue // it tells of what was there
		}
		for _, span := range p.Spans {
			if !ofTree.MatchString(span.Text) {
				continue
			}
			named++
			if to := path.Clean(span.Text); !files[to] && !strings.HasSuffix(to, "/.cache") { // of what setup.sh downloads
				t.Errorf("%s:%d: the tree has no %s", name, span.Line, span.Text)
			}
		}
	}
	if named == 0 {
		t.Error("no page names a file")
	}
}
