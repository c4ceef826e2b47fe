package main

import (
	"fmt"
	"os"
	"strings"
)

const (
	beginMark = "<!-- bench: begin -->\n"
	endMark   = "<!-- bench: end -->\n"
)

// replace puts text between the marks of a document.
func replace(document, text string) (string, error) {
	before, rest, found := strings.Cut(document, beginMark)
	_, after, closed := strings.Cut(rest, endMark)
	if !found || !closed {
		return "", fmt.Errorf("the document has no %q and %q", strings.TrimSpace(beginMark), strings.TrimSpace(endMark))
	}
	return before + beginMark + text + endMark + after, nil
}

func replaceInFile(path, text string) error {
	document, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	replaced, err := replace(string(document), text)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(replaced), 0o644)
}
