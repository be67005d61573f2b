package guest

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// loadModules loads all modules of a folder into the kernel, each after those that it needs.
func loadModules(folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.ko"))
	if err != nil {
		return err
	}
	loaded := make(map[string]bool)
	for _, file := range files {
		if err := loadModule(file, loaded); err != nil {
			return fmt.Errorf("loading %s: %w", file, err)
		}
	}
	return nil
}

// loadModule loads a module after those that it needs, unless it has been loaded.
func loadModule(file string, loaded map[string]bool) error {
	if loaded[file] {
		return nil
	}
	loaded[file] = true
	needs, err := needs(file)
	if err != nil {
		return err
	}
	for _, name := range needs {
		if err := loadModule(filepath.Join(filepath.Dir(file), name+".ko"), loaded); err != nil {
			return fmt.Errorf("%s, which it needs: %w", name, err)
		}
	}
	module, err := os.Open(file)
	if err != nil {
		return err
	}
	defer module.Close()
	return unix.FinitModule(int(module.Fd()), "", 0)
}

// needs are the modules that a module says it depends on.
func needs(file string) ([]string, error) {
	module, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer module.Close()
	info := module.Section(".modinfo")
	if info == nil {
		return nil, fmt.Errorf("no kernel module: %s", file)
	}
	text, err := info.Data()
	if err != nil {
		return nil, err
	}
	for entry := range bytes.SplitSeq(text, []byte{0}) {
		if names, found := strings.CutPrefix(string(entry), "depends="); found && names != "" {
			return strings.Split(names, ","), nil
		}
	}
	return nil, nil
}
