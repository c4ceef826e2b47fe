package pix

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"unique"
)

// ErrInvalidDocument is wrapped by every error of [ParseDocument].
var ErrInvalidDocument = errors.New("pix: invalid document")

const (
	cpfLength  = 11
	cnpjLength = 14

	// In a layout a zero stands for a character of the document and anything
	// else for itself.
	cpfLayout  = "000.000.000-00"
	cnpjLayout = "00.000.000/0000-00"
)

// DocumentKind says which register a [Document] belongs to.
type DocumentKind string

const (
	// DocumentCPF is the taxpayer number of a person, 11 digits.
	DocumentCPF DocumentKind = "CPF"
	// DocumentCNPJ is the taxpayer number of a company, 14 characters.
	DocumentCNPJ DocumentKind = "CNPJ"
)

// Document is a CPF or a CNPJ whose check digits are right. They catch nearly
// every single wrong digit, though not all, and do not prove that the number
// was ever issued.
//
// A document is personal data, so it prints masked everywhere except in
// [Document.Text]; in particular, encoding it as JSON gives the mask. The zero
// value holds no document: its Text, Kind and String are empty. Values are
// immutable and may be shared; two documents are equal when == says so.
type Document struct{ text unique.Handle[string] }

// ParseDocument reads a CPF or a CNPJ, either bare ("12345678909") or with its
// complete usual punctuation ("123.456.789-09", "12.ABC.345/01DE-35"). Nothing
// is trimmed or corrected.
//
// The first twelve characters of a CNPJ may be digits or upper-case letters, as
// issued since July 2026. Lower-case letters are refused: a number that is
// about to be sent on must be the one that was checked. The ten CPFs made of
// one repeated digit, and the CNPJs made of zeros or of one repeated letter,
// satisfy the arithmetic but belong to no one, and are refused too.
//
// Every error wraps [ErrInvalidDocument] and the [Reason], and none repeats s.
func ParseDocument(s string) (Document, error) {
	if bare, ok := stripLayout(s, cpfLayout); ok {
		return checkedDocument(bare)
	}
	if bare, ok := stripLayout(s, cnpjLayout); ok {
		return checkedDocument(bare)
	}
	return checkedDocument(s)
}

// Text returns the bare characters of the document without punctuation. It is
// the only method that reveals them.
func (d Document) Text() string { return reveal(d.text) }

// Kind returns [DocumentCPF] or [DocumentCNPJ], and "" for the zero value.
func (d Document) Kind() DocumentKind {
	switch len(d.Text()) {
	case cpfLength:
		return DocumentCPF
	case cnpjLength:
		return DocumentCNPJ
	}
	return ""
}

// IsAlphanumeric reports whether the document has a letter, which only a CNPJ
// can. Systems that were built for digits do not accept such a CNPJ.
func (d Document) IsAlphanumeric() bool {
	return strings.ContainsFunc(d.Text(), func(r rune) bool { return r >= 'A' })
}

// String returns the document masked for a log: "***.456.789-**" for a CPF
// and "**.345.678/****-**" for a CNPJ.
func (d Document) String() string { return maskDocument(d.Text()) }

// GoString returns a masked description, for the %#v verb of fmt.
func (d Document) GoString() string { return "pix.Document(" + d.String() + ")" }

// LogValue returns the masked document, for log/slog.
func (d Document) LogValue() slog.Value { return slog.StringValue(d.String()) }

// MarshalText returns the masked document. There is no UnmarshalText: a mask
// cannot be read back. To put a document in a request, use [Document.Text].
func (d Document) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func checkedDocument(bare string) (Document, error) {
	if reason := documentReason(bare, cpfLength, cnpjLength); reason != "" {
		return Document{}, fmt.Errorf("%w: %w", ErrInvalidDocument, reason)
	}
	return Document{text: conceal(bare)}, nil
}

// documentReason returns the reason why bare is not a CPF or CNPJ of one of the
// lengths, or "" if it is one. Only a CNPJ may have letters.
func documentReason(bare string, lengths ...int) Reason {
	var punctuation, letter, lower bool
	for i := range len(bare) {
		switch c := bare[i]; {
		case isDigit(c):
		case strings.IndexByte(" .-/", c) >= 0:
			punctuation = true
		case isAlphanumeric(c) && slices.Contains(lengths, cnpjLength):
			letter, lower = true, lower || c >= 'a'
		default:
			return ReasonDocumentCharacter
		}
	}
	switch {
	case bare == "":
		return ReasonEmpty
	case punctuation:
		return ReasonDocumentPunctuation
	case !slices.Contains(lengths, len(bare)):
		return ReasonDocumentLength
	case letter && (len(bare) == cpfLength || countFunc(bare[12:], isDigit) != 2):
		return ReasonDocumentCharacter
	case lower:
		return ReasonDocumentLowerCase
	case !hasCheckDigits(bare):
		return ReasonDocumentCheckDigits
	case isFiller(bare[:len(bare)-2]):
		return ReasonDocumentFiller
	}
	return ""
}

// stripLayout returns the characters of s that stand where layout has zeros.
func stripLayout(s, layout string) (string, bool) {
	if len(s) != len(layout) {
		return "", false
	}
	bare := make([]byte, 0, cnpjLength)
	for i := range len(s) {
		if layout[i] == '0' {
			bare = append(bare, s[i])
		} else if s[i] != layout[i] {
			return "", false
		}
	}
	return string(bare), true
}

// isFiller reports whether a document without its check digits is filler, as
// forms are filled with in tests. Other digits than zero, repeated, may be a
// branch of a company that exists.
func isFiller(s string) bool {
	person := len(s) == cpfLength-2
	return (person || s[0] == '0' || !isDigit(s[0])) && strings.Trim(s, s[:1]) == ""
}

// hasCheckDigits reports whether the last two characters are the check digits
// of those before them. The weights run from 2 at the right up to 11 for a CPF
// and 9 for a CNPJ, and start again; a letter weighs in with its distance from
// '0' in ASCII.
func hasCheckDigits(s string) bool {
	heaviest := 9
	if len(s) == cpfLength {
		heaviest = 11
	}
	for end := len(s) - 2; end < len(s); end++ {
		sum, weight := 0, 2
		for i := end - 1; i >= 0; i-- {
			sum += int(s[i]-'0') * weight
			if weight++; weight > heaviest {
				weight = 2
			}
		}
		digit := 11 - sum%11
		if digit > 9 {
			digit = 0
		}
		if s[end] != '0'+byte(digit) {
			return false
		}
	}
	return true
}

func isUpperAlphanumeric(c byte) bool { return isDigit(c) || 'A' <= c && c <= 'Z' }

func isAlphanumeric(c byte) bool { return isUpperAlphanumeric(c) || 'a' <= c && c <= 'z' }

func countFunc(s string, is func(byte) bool) int {
	n := 0
	for i := range len(s) {
		if is(s[i]) {
			n++
		}
	}
	return n
}
