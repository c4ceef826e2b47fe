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

// redactingWriter is a writer that redacts secrets and personal data, also if a gateway echoes them
// in another case, with other punctuation, or as a name. Goroutines may share it.
type redactingWriter struct {
	out io.Writer

	mu     sync.Mutex
	hidden map[string]*regexp.Regexp
}

func newRedactingWriter(out io.Writer) *redactingWriter {
	return &redactingWriter{out: out, hidden: map[string]*regexp.Regexp{}}
}

// shortest is the least number of letters and digits of a text that is hidden: shorter texts occur
// by chance. A text with more than longest is a token, which is never echoed with other
// punctuation.
const shortest, longest = 5, 64

// hide adds texts to redact.
func (d *redactingWriter) hide(texts ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, text := range texts {
		if d.hidden[text] != nil {
			continue // each request has them again
		}
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

// redact returns a text without the hidden texts.
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

// redactedError is an error whose text is redacted. errors.Is and errors.As still find its cause.
type redactedError struct {
	error
	text string
}

func (e redactedError) Error() string { return e.text }
func (e redactedError) Unwrap() error { return e.error }

// nameLike matches the names of members and headers, and codes.
var nameLike = regexp.MustCompile(`^[A-Za-z_$@][A-Za-z0-9_.$-]{0,49}$`)

// manyDigits matches the digits of a document, a phone number or an account.
var manyDigits = regexp.MustCompile(`[0-9]{6}`)

// named returns a name that the gateway has chosen, if it looks like a name.
func named(name string) string {
	if nameLike.MatchString(name) && !manyDigits.MatchString(name) {
		return name
	}
	return "(not like a name)"
}
