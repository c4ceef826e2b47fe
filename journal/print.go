package journal

import (
	"fmt"
	"io"
	"log/slog"
)

// String returns the type and the path.
func (f *File) String() string { return "journal.File(" + f.path + ")" }

// Format prints String under every verb: fmt would race with payments for the fields.
func (f *File) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, f.String()) }

// LogValue logs String.
func (f *File) LogValue() slog.Value { return slog.StringValue(f.String()) }
