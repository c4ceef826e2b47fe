package main

import (
	"errors"
	"os"
	"path/filepath"
)

// file is a file to write.
type file struct {
	path string
	text []byte
}

// rename renames a file. A test makes it fail.
var rename = os.Rename

// replace writes all files or none. Only a kill or a broken disk between two renames leaves some.
// Then openapi/spec.lock, which must be the last file, does not match the description, and the next
// sync repairs that.
func replace(files []file) (err error) {
	var aside []string
	defer func() {
		for _, path := range aside {
			_ = os.Remove(path) // files that were not renamed
		}
	}()
	var before [][]byte
	for _, f := range files {
		text, err := os.ReadFile(f.path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		before = append(before, text)
		path, err := writeAside(f)
		aside = append(aside, path)
		if err != nil {
			return err
		}
	}
	for i, f := range files {
		if err := rename(aside[i], f.path); err != nil {
			for j := range i {
				err = errors.Join(err, restore(file{files[j].path, before[j]}))
			}
			return err
		}
	}
	return nil
}

// restore restores the content of a file, nil if there was no file.
func restore(f file) error {
	if f.text == nil {
		return os.Remove(f.path)
	}
	return os.WriteFile(f.path, f.text, 0o644)
}

// writeAside writes a file beside its final place, under a name that no other process uses.
func writeAside(f file) (string, error) {
	aside, err := os.CreateTemp(filepath.Dir(f.path), filepath.Base(f.path)+".*.new")
	if err != nil {
		return "", err
	}
	_, err = aside.Write(f.text)
	return aside.Name(), errors.Join(err, aside.Chmod(0o644), aside.Close())
}
