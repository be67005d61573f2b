package docs

import (
	"errors"
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"serialhub/test/page"
)

// TestGuarantees wants each promise of docs/guarantees.md to have a proof: a test that is there, that CI runs, and that is not skipped.
func TestGuarantees(t *testing.T) {
	const name = "docs/guarantees.md"
	p := readTree(t).pages(t)[name]
	if p == nil {
		t.Fatal(name + " is missing")
	}
	ci := readCI(t)
	promises := 0
	for _, row := range p.Rows {
		if len(row.Cells) < 3 {
			continue // not a table of promises
		}
		promises++
		proofs, err := proofsOf(row.Cells[len(row.Cells)-1])
		if err != nil {
			t.Errorf("%s:%d: %v", name, row.Line, err)
		}
		for _, proof := range proofs {
			if err := errors.Join(proof.look(root), ci.runs(proof.folder)); err != nil {
				t.Errorf("%s:%d: %s %s: %v", name, row.Line, proof.folder, proof.test, err)
			}
		}
	}
	if promises == 0 {
		t.Errorf("%s promises nothing: its table has rows of promise, limits and proof", name)
	}
}

// TestTablesOfTests wants the tests to be there that the pages of the suites name in their tables.
func TestTablesOfTests(t *testing.T) {
	ci := readCI(t)
	for name, p := range readTree(t).pages(t) {
		folder := path.Dir(name)
		if path.Dir(folder) != "test" {
			continue
		}
		tests := 0
		for _, row := range p.Rows {
			for _, span := range row.Cells[0].Spans {
				tests++
				proof := proof{folder, span}
				if err := errors.Join(proof.look(root), ci.runs(folder)); err != nil {
					t.Errorf("%s:%d: %s: %v", name, row.Line, span, err)
				}
			}
		}
		if tests == 0 {
			t.Errorf("%s has no table that names its tests", name)
		}
	}
}

// proof is a test of a folder.
type proof struct{ folder, test string }

// proofsOf are the proofs that a cell names: `test/continuity TestKill`, or a folder and then tests, each a piece of code.
func proofsOf(cell page.Cell) (proofs []proof, err error) {
	folder := ""
	for _, span := range cell.Spans {
		for word := range strings.FieldsFuncSeq(span, func(r rune) bool { return r == ' ' || r == ',' }) {
			switch {
			case !regexp.MustCompile(`^(Test|Fuzz)`).MatchString(word):
				folder = path.Clean(word)
			case folder == "":
				return nil, fmt.Errorf("no folder stands before %s, as in test/continuity %[1]s", word)
			default:
				test, _, _ := strings.Cut(word, "/")
				proofs = append(proofs, proof{folder, test})
			}
		}
	}
	if len(proofs) == 0 {
		return nil, errors.New("it names no test")
	}
	return proofs, nil
}

// look says what is wrong with the test: it is not there, is not built everywhere, or ends before it begins.
func (p proof) look(root string) error {
	files, err := filepath.Glob(filepath.Join(root, p.folder, "*_test.go"))
	if err != nil || len(files) == 0 {
		return errors.Join(err, errors.New("there are no tests in that folder"))
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, declaration := range parsed.Decls {
			function, is := declaration.(*ast.FuncDecl)
			if !is || function.Recv != nil || function.Name.Name != p.test {
				continue
			}
			for _, group := range parsed.Comments {
				for _, comment := range group.List {
					if constraint.IsGoBuild(comment.Text) {
						return fmt.Errorf("%s is not always built: %s", file, comment.Text)
					}
				}
			}
			for _, statement := range function.Body.List {
				if skips(statement) {
					return errors.New("it is skipped")
				}
			}
			return nil
		}
	}
	return errors.New("there is no such test")
}

// skips tells whether a statement skips the test, whatever holds.
func skips(statement ast.Stmt) bool {
	expression, is := statement.(*ast.ExprStmt)
	if !is {
		return false
	}
	call, is := expression.X.(*ast.CallExpr)
	if !is {
		return false
	}
	method, is := call.Fun.(*ast.SelectorExpr)
	return is && strings.HasPrefix(method.Sel.Name, "Skip")
}

// ci is what CI runs: the script, and the Makefile whose commands it calls.
type ci struct{ script, makefile string }

func readCI(t *testing.T) ci {
	t.Helper()
	script, err := os.ReadFile(filepath.Join(root, ".ci/run"))
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	return ci{string(script), string(makefile)}
}

// runs says why CI does not run the tests of a folder. make test runs all but those that it leaves out, and each of those has a command of its own.
func (c ci) runs(folder string) error {
	command := "test"
	if strings.Contains(c.recipe("test"), "-e /"+folder+" ") || strings.Contains(c.recipe("test"), "-e /"+folder+")") {
		command = path.Base(folder)
		if !strings.Contains(c.recipe(command), " ./"+folder+"\n") {
			return fmt.Errorf("make test leaves %s out, and make %s does not run it", folder, command)
		}
	}
	if !regexp.MustCompile(`(?m)^(\w+=\S+ )*make ` + command + `$`).MatchString(c.script) {
		return fmt.Errorf(".ci/run does not say make %s", command)
	}
	return nil
}

// recipe is what a target of the Makefile does.
func (c ci) recipe(target string) string {
	found := regexp.MustCompile(`(?m)^` + target + `:.*\n((\t.*\n)+)`).FindStringSubmatch(c.makefile)
	if found == nil {
		return ""
	}
	return found[1]
}

// TestProofs shows that a proof which is none is found.
func TestProofs(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a_test.go", "package a\nfunc TestGood(t *testing.T) { if short { t.Skip() } }\nfunc TestSkipped(t *testing.T) { f()\nt.Skip() }\n")
	write("b_test.go", "//go:build never\n\npackage a\nfunc TestElsewhere(t *testing.T) {}\n")
	for test, fine := range map[string]bool{"TestGood": true, "TestSkipped": false, "TestElsewhere": false, "TestNone": false} {
		if err := (proof{".", test}).look(dir); (err == nil) != fine {
			t.Errorf("%s: %v", test, err)
		}
	}
	for span, want := range map[string]string{
		"test/a TestOne": "[{test/a TestOne}]", "test/a TestOne, TestTwo/sub": "[{test/a TestOne} {test/a TestTwo}]", "TestOne": "", "test/a": "", "": "",
	} {
		if proofs, err := proofsOf(page.Cell{Spans: []string{span}}); (err == nil) != (want != "") || err == nil && fmt.Sprint(proofs) != want {
			t.Errorf("%q: %v, %v", span, proofs, err)
		}
	}
	c := ci{"make test\nSERIALHUB_A=1 make e2e\nmake systemd-later\n",
		"test: ## x\n\tgo test $$(grep -v -e /test/e2e -e /test/systemd -e /test/guest)\n\ne2e:\n\tgo test -v ./test/e2e\n\nsystemd:\n\tgo test ./test/systemd\n\nguest:\n\ttrue\n"}
	for folder, fine := range map[string]bool{"test/ends": true, "internal/relay": true, "test/e2e": true, "test/systemd": false, "test/guest": false} {
		if err := c.runs(folder); (err == nil) != fine {
			t.Errorf("%s: %v", folder, err)
		}
	}
}

// ofMake is a command of make in a piece of code, or in a line of one.
var ofMake = regexp.MustCompile(`(?m)^(?:\s*[A-Z_]+=\S+ )*\s*make ([a-z][a-z0-9-]*)`)

// TestMakeTargets wants each command of make that a page names to be one of the Makefile's.
func TestMakeTargets(t *testing.T) {
	ci := readCI(t)
	named := 0
	for name, p := range readTree(t).pages(t) {
		if name == "CHANGELOG.md" {
			continue
		}
		text, err := os.ReadFile(p.Path)
		if err != nil {
			t.Fatal(err)
		}
		texts := []string{regexp.MustCompile(`(?m)^    make .*`).FindString(string(text))}
		for _, span := range p.Spans {
			texts = append(texts, span.Text)
		}
		for _, block := range p.Blocks {
			texts = append(texts, block.Text)
		}
		for _, text := range texts {
			for _, found := range ofMake.FindAllStringSubmatch(text, -1) {
				named++
				if !regexp.MustCompile(`(?m)^` + found[1] + `:`).MatchString(ci.makefile) {
					t.Errorf("%s names make %s, which the Makefile does not know", name, found[1])
				}
			}
		}
	}
	if named == 0 {
		t.Error("no page names a command of make")
	}
}
