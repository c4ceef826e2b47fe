package main

import (
	"cmp"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// redactingWriter is a writer that hides what must not be told, however a gateway has it come back:
// in another case, with other punctuation, as the name of something. Goroutines may share it.
type redactingWriter struct {
	out io.Writer

	mu     sync.Mutex
	hidden map[string]*regexp.Regexp
}

func newRedactingWriter(out io.Writer) *redactingWriter {
	return &redactingWriter{out: out, hidden: map[string]*regexp.Regexp{}}
}

// shortest is how many letters and digits a text has that is hidden: one that is shorter is
// everywhere. One that has more than longest is a token, which nobody writes with other
// punctuation.
const shortest, longest = 5, 64

// hide adds texts to what must not be told.
func (d *redactingWriter) hide(texts ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, text := range texts {
		var signs []string
		for _, r := range text {
			if unicode.IsLetter(r) || unicode.IsDigit(r) {
				signs = append(signs, regexp.QuoteMeta(string(r)))
			}
		}
		switch {
		case len(signs) > longest:
			d.hidden[text] = regexp.MustCompile("(?i)" + regexp.QuoteMeta(text))
		case len(signs) >= shortest:
			d.hidden[text] = regexp.MustCompile("(?i)" + strings.Join(signs, `(?:[^\pL\pN]{0,3}|%[0-9A-F]{2})`))
		}
	}
}

// redact is a text without what must not be told.
func (d *redactingWriter) redact(text string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	longestFirst := make([]string, 0, len(d.hidden))
	for secret := range d.hidden {
		longestFirst = append(longestFirst, secret)
	}
	slices.SortFunc(longestFirst, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, secret := range longestFirst {
		text = d.hidden[secret].ReplaceAllLiteralString(text, "[redacted]")
	}
	return text
}

func (d *redactingWriter) Write(text []byte) (int, error) {
	_, err := io.WriteString(d.out, d.redact(string(text)))
	return len(text), err
}

// discreetError is an error whose text has been through a redactingWriter. What it wraps can be
// asked for and not be read.
type discreetError struct {
	error
	text string
}

func (e discreetError) Error() string { return e.text }
func (e discreetError) Unwrap() error { return e.error }

// nameLike is what members and headers are called, and what a code looks like.
var nameLike = regexp.MustCompile(`^[A-Za-z_$@][A-Za-z0-9_.$-]{0,49}$`)

// manyDigits are those of a document, a phone or an account.
var manyDigits = regexp.MustCompile(`[0-9]{6}`)

// named is a name that the gateway has chosen, if it looks like one.
func named(name string) string {
	if nameLike.MatchString(name) && !manyDigits.MatchString(name) {
		return name
	}
	return "(what does not look like a name)"
}
