package pix

import (
	"strings"
	"unicode/utf8"
	"unique"
)

// MaskName hides a person's name for a log: each word keeps its first letter
// and becomes three asterisks whatever its length, so "Maria Silva" gives
// "M*** S***". An empty or blank name gives an empty string.
func MaskName(s string) string {
	words := strings.Fields(s)
	for i, word := range words {
		_, size := utf8.DecodeRuneInString(word)
		words[i] = word[:size] + "***"
	}
	return strings.Join(words, " ")
}

// conceal puts personal data where fmt cannot print it. A String method alone
// does not protect a value that sits in an unexported field of the caller's
// struct: fmt may not call methods there and prints the bare fields. Of a
// handle it prints an address. Handles of equal strings are equal, so a type
// that holds one can still be compared with ==.
func conceal(s string) unique.Handle[string] { return unique.Make(s) }

// reveal returns the string given to conceal, or "" for the zero handle.
func reveal(h unique.Handle[string]) string {
	if h == (unique.Handle[string]{}) {
		return ""
	}
	return h.Value()
}

// maskDocument hides the bare text of a CPF or a CNPJ.
func maskDocument(text string) string {
	switch len(text) {
	case cpfLength:
		return "***." + text[3:6] + "." + text[6:9] + "-**"
	case cnpjLength:
		return "**." + text[2:5] + "." + text[5:8] + "/****-**"
	}
	return ""
}
