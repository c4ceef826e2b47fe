package pix

import (
	"strings"
	"unicode"
)

// KeyCandidates returns the PIX keys that a text may mean, at most one of each
// type, and none if it means none. It is for what people type and paste into a
// field that does not ask for the type:
//
//	123.456.789-09             the CPF key 12345678909
//	12.abc.345/01de-35         the CNPJ key 12ABC34501DE35
//	Maria@Example.com          the e-mail key maria@example.com
//	(11) 98765-4321            the phone key +5511987654321
//	011 3333-4444              the phone key +551133334444
//	+1 202 555 0123            the phone key +12025550123
//	11912345684                the CPF key 11912345684 or the phone key +5511912345684
//
// A candidate is not an answer. Even a single one has to be shown to the person
// with its type, and with the owner's name once that is known: a mistyped CPF may
// be the phone number of somebody else, who would then receive the money. Where
// there are two, ask. They are a CPF and a phone number, and the CPF comes first:
// its check digits are right, as they are for about one phone number in a hundred.
//
// Spaces and invisible characters, quotation marks and angle brackets around the
// text, and a full stop, comma or semicolon after it are ignored. Punctuation is
// ignored where the layout of the type may have it, so that (11) 91234-5684 is a
// phone number and no CPF. A number without + is Brazilian, and has an area code
// of two digits, and a mobile number its 9. No digit is ever made up: neither a
// missing 9, nor an area code, nor the zeros that a spreadsheet takes from a CPF.
// A random key may lack its hyphens or have braces.
//
// The text behind a QR code is no key: see [ParseBRCode].
func KeyCandidates(text string) []Key {
	text = typedText(text)
	var candidates []Key
	add := func(t KeyType, s string) {
		if key, err := ParseKey(t, s); err == nil {
			candidates = append(candidates, key)
		}
	}
	bare, separators := ungroup(text, " .-/")
	if separators.within(3, 6, 9) {
		add(KeyTypeCPF, bare)
	}
	if separators.within(2, 5, 8, 12) {
		add(KeyTypeCNPJ, upperASCII(bare))
	}
	add(KeyTypeEmail, text)
	add(KeyTypePhone, typedPhone(text))
	add(KeyTypeEVP, typedEVP(text))
	return candidates
}

// typedText drops what cannot be seen and what surrounds a key in a sentence, and
// writes each kind of space and dash in one way: phones and word processors put
// in others than a keyboard has.
func typedText(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Cf, r):
			return -1
		case unicode.IsSpace(r):
			return ' '
		case unicode.Is(unicode.Pd, r) || r == '\u2212':
			return '-'
		}
		return r
	}, text)
	// No key begins or ends with one of these.
	text = strings.TrimLeft(text, ` <"“`)
	return strings.TrimRight(text, ` >"”.,;`)
}

// positions is a set of places in a text: bit n is the place before character n.
type positions uint64

func (p positions) within(allowed ...int) bool {
	for _, n := range allowed {
		p &^= 1 << n
	}
	return p == 0
}

// ungroup returns a text without its separators, and where in it they stood.
func ungroup(text, separators string) (bare string, at positions) {
	var b strings.Builder
	for i := range len(text) {
		if strings.IndexByte(separators, text[i]) >= 0 {
			at |= 1 << min(b.Len(), 63)
		} else {
			b.WriteByte(text[i])
		}
	}
	return b.String(), at
}

// typedPhone returns a phone number as the directory has it, and "" if text is
// none.
func typedPhone(text string) string {
	const brazil = "55"
	bare, separators := ungroup(text, " .-/()")
	if number, international := strings.CutPrefix(bare, "+"); international {
		// No area code begins with the 0 that is dialled before it.
		if national, found := strings.CutPrefix(number, brazil+"0"); found {
			number = brazil + national
		}
		return "+" + number
	}
	for _, prefix := range []string{"", "0", brazil} {
		national, found := strings.CutPrefix(bare, prefix)
		if !found || len(national) < 10 || national[0] == '0' || national[1] == '0' {
			continue
		}
		start, end := len(prefix), len(bare)
		mobile := len(national) == 11 && national[2] == '9'
		landline := len(national) == 10 && '2' <= national[2] && national[2] <= '5'
		if mobile && separators.within(0, start, start+2, start+3, end-4) ||
			landline && separators.within(0, start, start+2, end-4) {
			return "+" + brazil + national
		}
	}
	return ""
}

// typedEVP returns a random key with its hyphens and without braces. An
// end-to-end id may consist of the same characters, and is none.
func typedEVP(text string) string {
	text = strings.TrimSuffix(strings.TrimPrefix(text, "{"), "}")
	if len(text) != 32 || strings.Contains(text, "-") || IsEndToEndID(text) {
		return text
	}
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

func upperASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r + 'A' - 'a'
		}
		return r
	}, s)
}
