package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	moduleLine  = regexp.MustCompile(`(?m)^module (\S+)$`)
	majorSuffix = regexp.MustCompile(`/v[0-9]+$`)
)

// modulePath returns the path of the SDK's module from its go.mod.
func (p project) modulePath() (string, error) {
	text, err := os.ReadFile(filepath.Join(p.root, "go.mod"))
	if err != nil {
		return "", err
	}
	found := moduleLine.FindSubmatch(text)
	if found == nil {
		return "", fmt.Errorf("%s has no line for the module's path", filepath.Join(p.root, "go.mod"))
	}
	return string(found[1]), nil
}

// pathOf returns the path that a module must have at a version, given its path at another version.
func pathOf(path string, v version) string {
	path = majorSuffix.ReplaceAllString(path, "")
	if v.major < 2 {
		return path
	}
	return fmt.Sprintf("%s/v%d", path, v.major)
}

// requires refuses a nested module that does not require a version of the SDK. Its replace directive
// hides that here, but has no effect for users, who would get another version or none.
func (p project) requires(directory, path string, v version) error {
	file := filepath.Join(directory, "go.mod")
	text, err := os.ReadFile(filepath.Join(p.root, file))
	if err != nil {
		return err
	}
	if line := path + " " + v.String(); !strings.Contains(string(text), "\t"+line+"\n") {
		return fmt.Errorf("%s does not require %s: users of that module would get another version of the SDK", file, line)
	}
	return nil
}

// rename changes the path of the module, in go.mod and in the imports of all Go code.
func (p project) rename(from, to string) error {
	if from == to {
		return nil
	}
	change := strings.NewReplacer(
		`"`+from+`"`, `"`+to+`"`, `"`+from+`/`, `"`+to+`/`, "module "+from+"\n", "module "+to+"\n")
	return filepath.WalkDir(p.root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" && path != filepath.Join(p.root, "go.mod") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, []byte(change.Replace(string(text))), 0o600)
	})
}
