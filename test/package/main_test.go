package pkg

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"serialhub/internal/testenv"
	"serialhub/test/container"
)

// The versions of the packages that the tests install. There is no such program as that of broken: it refuses every config.
const (
	older, newer, broken = "1.0.0", "1.1.0", "1.2.0"

	brokenProgram = "#!/bin/sh\ncase $1 in version) echo serialhub 1.2.0 ;; *) echo this program is broken >&2; exit 1 ;; esac\n"
)

// released is the folder with all that make dist makes, of the older version; and with the packages of the others.
var released string

// again is a second one, of which as much was made in another folder as can be compared.
var again string

func TestMain(m *testing.M) { os.Exit(makeAndRun(m)) }

func makeAndRun(m *testing.M) int {
	if container.Shared != "" || len(missing()) > 0 {
		return m.Run() // it is made, or each test says what is missing
	}
	dir, err := os.MkdirTemp("", "hubpkg")
	if err != nil {
		fmt.Fprintln(os.Stderr, "package:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	released, again = filepath.Join(dir, "released"), filepath.Join(dir, "again")
	err = release(filepath.Join(dir, "one"), "022", released)
	if err == nil {
		err = release(filepath.Join(dir, "a folder with another name"), "077", again, "ARCHES=amd64")
	}
	if err == nil {
		err = others(filepath.Join(dir, "one"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "package:", err)
		return 1
	}
	return m.Run()
}

// release makes what is released, of a copy of this tree in a folder.
func release(folder, umask, to string, more ...string) error {
	copied := exec.Command("sh", "-c", `umask $1 && mkdir "$2" && git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$2"`, "sh", umask, folder)
	copied.Dir = "../.."
	if output, err := copied.CombinedOutput(); err != nil {
		return fmt.Errorf("copying the tree: %w: %s", err, output)
	}
	command := exec.Command("make", append([]string{"-C", folder, "dist", "VERSION=" + older, "DIST=" + to}, more...)...)
	command.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1780000000")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("make dist: %w: %s", err, testenv.Tail(string(output)))
	}
	return nil
}

// others makes the packages of the other versions.
func others(tree string) error {
	native := filepath.Join(tree, "bin/serialhub")
	program := filepath.Join(tree, "bin/newer")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.release="+newer, "-o", program, "./cmd/serialhub")
	build.Dir, build.Env = tree, append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building: %w: %s", err, output)
	}
	refusing := filepath.Join(tree, "bin/broken")
	if err := os.WriteFile(refusing, []byte(brokenProgram), 0o755); err != nil {
		return err
	}
	for version, program := range map[string]string{newer: program, broken: refusing} {
		deb := exec.Command("packaging/deb.sh", program, native, "amd64", released)
		deb.Dir, deb.Env = tree, append(os.Environ(), "SOURCE_DATE_EPOCH=1780000000", "VERSION="+version)
		if output, err := deb.CombinedOutput(); err != nil {
			return fmt.Errorf("deb.sh: %w: %s", err, output)
		}
	}
	return nil
}

// archive is the file of the archive for an architecture.
func archive(arch string) string { return "serialhub-" + older + "-linux-" + arch + ".tar.gz" }

// root is the clean Debian that setup.sh has made.
func root() string {
	cache := os.Getenv("SERIALHUB_PACKAGE_DIR")
	if cache == "" {
		cache = ".cache"
	}
	path, err := filepath.Abs(filepath.Join(cache, "root"))
	if err != nil {
		panic(err) // there is no working directory
	}
	return path
}

// inDebian tells whether the test runs in the clean Debian. On the host it boots one that runs the test, and takes over what comes out; the
// caller returns. The packages and the archive are in the shared folder.
func inDebian(t *testing.T) bool {
	t.Helper()
	testenv.Need(t, "package", missing())
	var bring []string
	for _, file := range []string{deb(older), deb(newer), deb(broken), archive("amd64")} {
		bring = append(bring, filepath.Join(released, file))
	}
	return container.Machine{Suite: "package", Root: root(), Bring: bring}.Inside(t)
}

// missing names what setup.sh would have installed, and is not there.
func missing() []string {
	if container.Shared != "" {
		return nil
	}
	absent := container.Missing()
	if _, err := os.Stat(root()); err != nil {
		absent = append(absent, "the clean Debian")
	}
	for _, name := range strings.Fields("lintian groff mandoc shellcheck file qemu-aarch64-static") {
		if _, err := exec.LookPath(name); err != nil {
			absent = append(absent, "the program "+name)
		}
	}
	return absent
}
