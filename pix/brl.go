package pix

import (
	"strings"
	"unicode"
)

// BRL returns the amount as people in Brazil write it, such as "R$ 1.234,56" or
// "-R$ 0,05": two decimals after a comma, and a point before every third digit.
// The space is an ordinary one. [ParseBRL] reads it back without loss.
func (a Amount) BRL() string {
	whole, decimals, _ := strings.Cut(a.String(), ".")
	sign := ""
	if whole[0] == '-' {
		sign, whole = "-", whole[1:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "." + whole[i:]
	}
	return sign + "R$ " + whole + "," + decimals
}

// ParseBRL reads an amount in reais as people in Brazil type it: "R$ 1.234,56",
// "1234,56", "0,5", "50" and "-R$ 3,20". Without a comma it is whole reais. The
// R$ may be left out or have a small r, and a minus sign stands before or after
// it. Spaces around and between them are ignored, the non-breaking ones of web
// pages too.
//
// A point stands before three digits and all or none of the thousands have
// one, and one or two decimals follow the comma. So "12.34" and "1,234.56", the
// way of other countries, are refused. So is "1.234", which may be a thousand
// reais or little more than one: ask for the centavos, as in "1.234,00". A plus
// sign, a leading zero and everything else are refused too, as is an amount that
// does not fit in an int64 of centavos. Every error wraps [ErrInvalidAmount].
func ParseBRL(s string) (Amount, error) {
	s, negative := cutMinus(strings.TrimSpace(s))
	if len(s) >= 2 && strings.EqualFold(s[:2], "R$") {
		s = strings.TrimLeftFunc(s[2:], unicode.IsSpace)
		if !negative {
			s, negative = cutMinus(s)
		}
	}
	whole, decimals, comma := strings.Cut(s, ",")
	groups := strings.Split(whole, ".")
	for i, group := range groups[1:] {
		if len(group) != 3 || i == 0 && (groups[0] == "" || len(groups[0]) > 3) {
			return Amount{}, amountError("its points do not separate thousands; decimals follow a comma")
		}
	}
	switch {
	case comma && len(decimals) != 1 && len(decimals) != 2:
		return Amount{}, amountError("one or two decimals must follow the comma")
	case !comma && len(groups) == 2:
		return Amount{}, amountError("its point may mark thousands or decimals; write 1.234,00")
	}
	text := strings.Join(groups, "")
	if negative {
		text = "-" + text
	}
	if comma {
		text += "." + decimals
	}
	return ParseAmount(text)
}

func cutMinus(s string) (rest string, negative bool) {
	rest, negative = strings.CutPrefix(s, "-")
	return strings.TrimLeftFunc(rest, unicode.IsSpace), negative
}
