package pix

import "strings"

// HolderMatch is the result of [SameHolder]. The zero value is [HolderUnclear].
type HolderMatch uint8

const (
	// HolderUnclear says that the documents do not show whether they are one person's: one of them
	// is missing or not readable, or too few characters are visible in both.
	HolderUnclear HolderMatch = iota
	// HolderSame says that the documents agree in every character that is visible in both, and that
	// these are six at least. Six digits of a CPF are shared by one person in a million.
	HolderSame
	// HolderDifferent says that the documents cannot be one person's.
	HolderDifferent
)

// String returns "unclear", "same" or "different".
func (m HolderMatch) String() string {
	switch m {
	case HolderSame:
		return "same"
	case HolderDifferent:
		return "different"
	default:
		return "unclear"
	}
}

// enoughVisible is how many characters have to be visible in both documents: as many as the usual
// masks of a CPF and a CNPJ show.
const enoughVisible = 6

// SameHolder compares the documents of two holders, such as a payer's and a player's. Each is a CPF
// or a CNPJ as [ParseDocument] reads it, or masked, as banks and gateways show it:
// "***.456.789-**", ".456.789-", "**.345.678/****-**". Hidden characters are *, • or X. A CPF and a
// CNPJ are different holders, also if the company is that person's.
//
// A text that is neither, such as one whose check digits are wrong, is [HolderUnclear]. What to do
// then is for the caller to decide: it is no match.
func SameHolder(a, b string) HolderMatch {
	one, other := visibleIn(a), visibleIn(b)
	if count(one) < enoughVisible || count(other) < enoughVisible {
		return HolderUnclear
	}
	if len(one) != len(other) {
		return HolderDifferent
	}
	both := 0
	for i := range one {
		if one[i] == hidden || other[i] == hidden {
			continue
		}
		if one[i] != other[i] {
			return HolderDifferent
		}
		both++
	}
	if both < enoughVisible {
		return HolderUnclear
	}
	return HolderSame
}

// hidden stands for a character that a mask hides.
const hidden = '*'

// shortMask is the layout of a masked CPF without its hidden ends.
const shortMask = ".000.000-"

// visibleIn returns the characters of a document in their places, with hidden in those that are
// masked. It returns nothing for a text that is no document.
func visibleIn(text string) string {
	if document, err := ParseDocument(text); err == nil {
		return document.Text()
	}
	text = strings.ReplaceAll(text, "•", "*")
	if !strings.ContainsRune(text, hidden) { // else an X is a letter of a CNPJ
		text = strings.NewReplacer("x", "*", "X", "*").Replace(text)
	}
	if middle, ok := stripLayout(text, shortMask); ok {
		text = "***" + middle + "**"
	}
	for _, layout := range []string{cpfLayout, cnpjLayout} {
		if bare, ok := stripLayout(text, layout); ok {
			text = bare
		}
	}
	if len(text) != cpfLength && len(text) != cnpjLength || !strings.ContainsRune(text, hidden) {
		return "" // all of it is visible, and its check digits are wrong
	}
	for i, c := range []byte(text) {
		letter := c >= 'A' && c <= 'Z' && len(text) == cnpjLength && i < cnpjLength-2
		if c != hidden && !isDigit(c) && !letter {
			return ""
		}
	}
	return text
}

// count returns how many characters are visible.
func count(document string) int { return len(document) - strings.Count(document, string(hidden)) }
