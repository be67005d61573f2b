package release

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// repository is a scratch one, with the scripts, and a Makefile of which each target can be made to fail.
type repository struct{ dir string }

const makefile = `lint test e2e systemd guest package docs: ; @if [ -e fail-$@ ]; then echo it fails; exit 1; fi
generate: ; @if [ -e stale ]; then echo anew >made; fi
deb: ; @mkdir -p $(DIST) && if [ -e random ]; then date +%N; else echo same; fi >$(DIST)/x.deb
dist: ; @mkdir -p dist && echo $(VERSION) >dist/serialhub.tar.gz && cd dist && sha256sum serialhub* >SHA256SUMS
.PHONY: generate lint test e2e systemd guest package docs deb dist
`

// newRepository makes one that can be released as 1.2.3.
func newRepository(t *testing.T) repository {
	t.Helper()
	r := repository{t.TempDir()}
	for _, script := range []string{"release.sh", "version.sh"} {
		text, err := os.ReadFile(filepath.Join("../../packaging", script))
		if err != nil {
			t.Fatal(err)
		}
		r.write(t, "packaging/"+script, string(text))
		if err := os.Chmod(filepath.Join(r.dir, "packaging", script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.write(t, "Makefile", makefile)
	r.write(t, "made", "as it is\n")
	r.write(t, ".gitignore", "dist\nbin\nfail-*\nstale\nrandom\n")
	r.write(t, "CHANGELOG.md", "# Changelog\n\n## Unreleased\n\n## 1.2.3 - "+time.Now().Format(time.DateOnly)+"\n\n### Added\n\n- Something.\n\n## 1.2.2 - 2026-01-01\n\n- Else.\n")
	r.git(t, "init", "--quiet", "--initial-branch=main")
	r.commit(t)
	return r
}

func (r repository) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (r repository) commit(t *testing.T) {
	t.Helper()
	r.git(t, "add", "--all")
	r.git(t, "commit", "--quiet", "--allow-empty", "--message=Something")
}

func (r repository) git(t *testing.T, arguments ...string) string {
	t.Helper()
	said, err := r.run("git", arguments...)
	if err != nil {
		t.Fatalf("git %v: %v: %s", arguments, err, said)
	}
	return strings.TrimSpace(said)
}

// run runs a program in the repository, whatever git is told about others.
func (r repository) run(name string, arguments ...string) (said string, err error) {
	command := exec.Command(name, arguments...)
	command.Dir = r.dir
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "GIT_") && !strings.HasPrefix(variable, "MAKE") && !strings.HasPrefix(variable, "MFLAGS") {
			command.Env = append(command.Env, variable)
		}
	}
	command.Env = append(command.Env, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_AUTHOR_NAME=x", "GIT_AUTHOR_EMAIL=x@example.org",
		"GIT_COMMITTER_NAME=x", "GIT_COMMITTER_EMAIL=x@example.org", "GIT_COMMITTER_DATE=2026-11-30T23:30:00Z")
	output, err := command.CombinedOutput()
	return string(output), err
}

func TestRelease(t *testing.T) {
	r := newRepository(t)
	said, err := r.run("packaging/release.sh", "1.2.3")
	if err != nil || !strings.Contains(said, "serialhub 1.2.3 can be released") || !strings.Contains(said, "git tag -s -m 'serialhub 1.2.3' v1.2.3") {
		t.Fatalf("%v: %s", err, said)
	}
	list, err := r.run("packaging/release.sh", "--list")
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range strings.Fields(list) {
		if !strings.Contains(said, "release: "+check+": fine\n") {
			t.Errorf("%s was not looked at: %s", check, said)
		}
	}
}

// TestReleaseStops has every check fail once: the script stops there, and says what to do.
func TestReleaseStops(t *testing.T) {
	today := time.Now().Format(time.DateOnly)
	for _, c := range []struct {
		check, version string
		spoil          func(r repository)
		say            []string
	}{
		{"version", "1.2", func(repository) {}, []string{`"1.2" is not a version`, "VERSION=1.2.3"}},
		{"clean", "1.2.3", func(r repository) { r.write(t, "new", "") }, []string{"?? new", "commit"}},
		{"branch", "1.2.3", func(r repository) { r.git(t, "switch", "--quiet", "--create", "side") }, []string{"this is side", "git switch main"}},
		{"branch", "1.2.3", func(r repository) { r.git(t, "switch", "--quiet", "--detach") }, []string{"this is no branch"}},
		{"tag", "1.2.3", func(r repository) { r.git(t, "tag", "v1.2.3") }, []string{"there is a tag v1.2.3 already"}},
		{"changelog", "1.2.4", func(repository) {}, []string{"no section of this version", "## 1.2.4 - " + today}},
		{"changelog", "1.2.2", func(repository) {}, []string{"no section of this version and this day"}},
		{"changelog", "1.2.3", func(r repository) {
			r.write(t, "CHANGELOG.md", "## Unreleased\n\n- More.\n\n## 1.2.3 - "+today+"\n\n- X.\n")
			r.commit(t)
		}, []string{"something under Unreleased"}},
		{"changelog", "1.2.3", func(r repository) {
			r.write(t, "CHANGELOG.md", "## Unreleased\n\n## 1.2.3 - "+today+"\n\n## 1.2.2\n\n- X.\n")
			r.commit(t)
		}, []string{"is empty"}},
		{"generated", "1.2.3", func(r repository) { r.write(t, "stale", "") }, []string{"not current: made", "git diff"}},
		{"lint", "1.2.3", fails(t, "lint"), []string{"it fails", "make lint has failed"}},
		{"test", "1.2.3", fails(t, "test"), []string{"make test has failed"}},
		{"e2e", "1.2.3", fails(t, "e2e"), []string{"make e2e has failed"}},
		{"systemd", "1.2.3", fails(t, "systemd"), []string{"make systemd has failed"}},
		{"guest", "1.2.3", fails(t, "guest"), []string{"make guest has failed"}},
		{"package", "1.2.3", fails(t, "package"), []string{"make package has failed"}},
		{"same", "1.2.3", func(r repository) { r.write(t, "random", "") }, []string{"others each time"}},
		{"dist", "1.2.3", func(r repository) {
			r.write(t, "Makefile", makefile+"dist: ; @mkdir -p dist && echo '00 x' >dist/SHA256SUMS\n")
			r.commit(t)
		}, []string{"SHA256SUMS does not fit"}},
	} {
		t.Run(c.check, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			c.spoil(r)
			said, err := r.run("packaging/release.sh", c.version)
			if err == nil || strings.Contains(said, "can be released") || strings.Contains(said, c.check+": fine") {
				t.Errorf("it is released: %s", said)
			}
			for _, part := range c.say {
				if !strings.Contains(said, part) {
					t.Errorf("it does not say %q, but %s", part, said)
				}
			}
			if only, err := r.run("packaging/release.sh", "--only", c.check, c.version); err == nil {
				t.Errorf("the check alone says %s", only)
			}
		})
	}
}

func fails(t *testing.T, target string) func(repository) {
	return func(r repository) { r.write(t, "fail-"+target, "") }
}

// TestDryRun tells all that is wrong and can be told at once.
func TestDryRun(t *testing.T) {
	r := newRepository(t)
	if said, err := r.run("packaging/release.sh", "--dry-run", "1.2.3"); err != nil || strings.Contains(said, "lint") {
		t.Errorf("%v: %s", err, said)
	}
	r.write(t, "new", "")
	r.git(t, "tag", "v1.2.3")
	said, err := r.run("packaging/release.sh", "--dry-run", "1.2.3")
	if err == nil || !strings.Contains(said, "not committed") || !strings.Contains(said, "a tag v1.2.3 already") {
		t.Errorf("%v: %s", err, said)
	}
	for _, wrong := range [][]string{{}, {"--only", "nothing", "1.2.3"}, {"--else", "1.2.3"}, {"1.2.3", "1.2.4"}} {
		if said, err := r.run("packaging/release.sh", wrong...); err == nil || strings.Contains(said, "fine") {
			t.Errorf("%v: %v: %s", wrong, err, said)
		}
	}
}

// TestVersion has dpkg order the versions of commits as they come.
func TestVersion(t *testing.T) {
	r := newRepository(t)
	last := "0~"
	next := func(want string) {
		t.Helper()
		version, err := r.run("packaging/version.sh", "debian")
		version = strings.TrimSpace(version)
		if err != nil {
			t.Fatalf("%v: %s", err, version)
		}
		want = strings.ReplaceAll(want, "COMMIT", r.git(t, "rev-parse", "--short=12", "HEAD"))
		if version != want {
			t.Errorf("it is %s, not %s", version, want)
		}
		if out, err := exec.Command("dpkg", "--compare-versions", version, "gt", last).CombinedOutput(); err != nil {
			t.Errorf("%s is not newer than %s (%v) %s", version, last, err, out)
		}
		last = version
	}
	next("0~git20261130.1.COMMIT")
	r.commit(t)
	next("0~git20261130.2.COMMIT")
	r.write(t, "made", "otherwise\n")
	next("0~git20261130.2.COMMIT+dirty")
	r.commit(t)
	next("0~git20261130.3.COMMIT")
	for _, tag := range []string{"v0.9.0", "v1.0.0-rc1", "v1.0.0-rc2", "v1.0.0", "v1.0.1"} {
		r.commit(t)
		r.git(t, "tag", "--annotate", "--message="+tag, tag)
		base := strings.Replace(tag[1:], "-", "~", 1)
		next(base)
		for n := 1; n <= 2; n++ {
			r.commit(t)
			next(fmt.Sprintf("%s+%d.gCOMMIT", base, n))
		}
	}
	if epoch, err := r.run("packaging/version.sh", "epoch"); err != nil || epoch != "1796081400\n" {
		t.Errorf("the time is %q, %v", epoch, err)
	}
	if version, err := r.run("packaging/version.sh"); err != nil || !strings.HasPrefix(version, "v1.0.1-2-g") {
		t.Errorf("the program's is %q, %v", version, err)
	}
	if said, err := r.run("packaging/version.sh", "else"); err == nil {
		t.Errorf("it takes anything: %s", said)
	}
}
