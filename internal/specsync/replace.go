package main

import (
	"errors"
	"os"
	"path/filepath"
)

// file is what is to be written.
type file struct {
	path string
	text []byte
}

// rename puts a file in place. A test lets it fail.
var rename = os.Rename

// replace writes files whole, and all of them or none. Only a program that is killed between two
// renames, or a disk that breaks then, leaves some; then openapi/spec.lock, which is to be the
// last, tells of another description, and the next sync mends it.
func replace(files []file) (err error) {
	var aside []string
	defer func() {
		for _, path := range aside {
			_ = os.Remove(path) // those that were not renamed
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

// restore puts back what a file held, nil if there was none.
func restore(f file) error {
	if f.text == nil {
		return os.Remove(f.path)
	}
	return os.WriteFile(f.path, f.text, 0o644)
}

// writeAside writes a file beside where it is to be, under a name that no other process writes to.
func writeAside(f file) (string, error) {
	aside, err := os.CreateTemp(filepath.Dir(f.path), filepath.Base(f.path)+".*.new")
	if err != nil {
		return "", err
	}
	_, err = aside.Write(f.text)
	return aside.Name(), errors.Join(err, aside.Chmod(0o644), aside.Close())
}
