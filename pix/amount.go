package pix

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// ErrInvalidAmount is wrapped by every error of this package about an [Amount]:
// a text that is none, and a sum that does not fit.
var ErrInvalidAmount = errors.New("pix: invalid amount")

// Amount is a sum of money in Brazilian reais, stored as a whole number of
// centavos. It may be negative, as a balance may be.
//
// The zero value is R$ 0.00. Values are immutable and may be shared; two
// amounts are equal when == reports so. An amount never wraps: one that does
// not fit in an int64 of centavos is an error, where it is read and where it is
// the result of [Amount.Add] or [Amount.Sub].
//
// There are three ways to write one, and each has its own reader:
//
//   - 10.50, a JSON number and the text of [Amount.String] and
//     [Amount.MarshalText]: [Amount.UnmarshalJSON], [ParseAmount] and
//     [Amount.UnmarshalText]
//   - R$ 10,50, for people, by [Amount.BRL]: [ParseBRL]
//   - 1050, whole centavos in a database, by [Amount.Value]: [Amount.Scan]
type Amount struct{ centavos int64 }

// Centavos returns the amount of n centavos: Centavos(1050) is R$ 10.50.
func Centavos(n int64) Amount { return Amount{centavos: n} }

// ParseAmount reads an amount in reais written as a JSON number without an
// exponent: "10.50", "10.5", "10" and "-3.20". Decimals after the second are
// accepted only when they are zeros, because anything else could not be kept
// exactly. A plus sign, a leading zero, spaces, thousands separators and a
// decimal comma are refused, as is an amount that does not fit in an int64 of
// centavos. Every error wraps [ErrInvalidAmount].
func ParseAmount(s string) (Amount, error) {
	n, err := parseCentavos(s, false)
	if err != nil {
		return Amount{}, err
	}
	return Amount{centavos: n}, nil
}

// Centavos returns the amount in centavos: 1050 for R$ 10.50.
func (a Amount) Centavos() int64 { return a.centavos }

// IsZero reports whether the amount is R$ 0.00. It is what the omitzero
// option of encoding/json asks.
func (a Amount) IsZero() bool { return a.centavos == 0 }

// Cmp returns -1 if the amount is less than b, 0 if they are equal, and 1 if it
// is greater. It is of the form that package slices sorts by.
func (a Amount) Cmp(b Amount) int { return cmp.Compare(a.centavos, b.centavos) }

// Add returns the sum of the amount and b. A sum that does not fit in an int64
// of centavos is an error that wraps [ErrInvalidAmount], beside the zero Amount.
func (a Amount) Add(b Amount) (Amount, error) {
	sum := a.centavos + b.centavos
	if (sum > a.centavos) != (b.centavos > 0) {
		return Amount{}, errDoesNotFit
	}
	return Amount{centavos: sum}, nil
}

// Sub returns the amount less b, which is negative if b is greater. A difference
// that does not fit in an int64 of centavos is an error that wraps
// [ErrInvalidAmount], beside the zero Amount.
func (a Amount) Sub(b Amount) (Amount, error) {
	difference := a.centavos - b.centavos
	if (difference < a.centavos) != (b.centavos > 0) {
		return Amount{}, errDoesNotFit
	}
	return Amount{centavos: difference}, nil
}

// String returns the amount in reais with exactly two decimals and a dot, such
// as "10.50" or "-0.05". [ParseAmount] reads it back without loss.
func (a Amount) String() string { return string(a.text()) }

// MarshalJSON writes the amount in reais as a JSON number with two decimals,
// such as 10.50. It never returns an error.
func (a Amount) MarshalJSON() ([]byte, error) { return a.text(), nil }

// UnmarshalJSON reads a JSON number, or a JSON string that holds the text of
// one. Beyond [ParseAmount] it reads exponents, because a JSON number may have
// one: 1E+2, 100 and 10000e-2 are all R$ 100.00. A number that is not a whole
// number of centavos or does not fit, and a string that spells its digits with
// escapes, are refused. A null leaves the amount as it was, which is the
// convention of encoding/json. Everything else is an error that wraps
// [ErrInvalidAmount], and the amount is then left as it was.
//
// The digits are read from the text of the token, so 0.1 is ten centavos and
// not the double nearest to a tenth.
func (a *Amount) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	if len(data) >= 2 && data[0] == '"' && data[len(data)-1] == '"' {
		data = data[1 : len(data)-1]
	}
	n, err := parseCentavos(data, true)
	if err != nil {
		return err
	}
	a.centavos = n
	return nil
}

// MarshalText returns the text of [Amount.String], for XML, configuration files
// and the keys of JSON objects. It never returns an error.
func (a Amount) MarshalText() ([]byte, error) { return a.text(), nil }

// UnmarshalText reads what [ParseAmount] reads. On an error, which wraps
// [ErrInvalidAmount], the amount is left as it was.
func (a *Amount) UnmarshalText(text []byte) error {
	n, err := parseCentavos(text, false)
	if err != nil {
		return err
	}
	a.centavos = n
	return nil
}

func (a Amount) text() []byte {
	text := make([]byte, 0, len("-92233720368547758.08"))
	magnitude := uint64(a.centavos)
	if a.centavos < 0 {
		text = append(text, '-')
		// Negating after the conversion also covers the smallest int64, whose
		// magnitude is one more than the largest int64.
		magnitude = -magnitude
	}
	text = strconv.AppendUint(text, magnitude/100, 10)
	cents := byte(magnitude % 100)
	return append(text, '.', '0'+cents/10, '0'+cents%10)
}

// parseCentavos is generic so that UnmarshalJSON can read its bytes in place.
func parseCentavos[T string | []byte](s T, exponents bool) (int64, error) {
	i := 0
	negative := len(s) > 0 && s[0] == '-'
	if negative {
		i++
	}
	whole := i
	i = skipDigits(s, i)
	point := i
	if point == whole {
		return 0, amountError("it must start with a digit, after an optional minus sign")
	}
	if s[whole] == '0' && point-whole > 1 {
		return 0, amountError("it has a leading zero")
	}
	if i < len(s) && s[i] == '.' {
		i = skipDigits(s, i+1)
		if i == point+1 {
			return 0, amountError("no digit follows the decimal point")
		}
	}
	end, exponent := i, 0
	if exponents {
		exponent, i = readExponent(s, i)
	}
	if i != len(s) {
		return 0, amountError("it has a character that is not part of a decimal number")
	}

	// The sum is built below zero, where int64 reaches one further than above,
	// so that the smallest amount needs no special case.
	var sum int64
	fits := true
	push := func(digit byte) {
		d := int64(digit - '0')
		if sum < (math.MinInt64+d)/10 {
			fits = false
			return
		}
		sum = sum*10 - d
	}
	// The digit at i is worth ten to this power in centavos.
	power := point - whole + 1 + exponent
	for i = whole; i < end; i++ {
		if i == point {
			continue
		}
		if power >= 0 {
			push(s[i])
		} else if s[i] != '0' {
			return 0, amountError("it is not a whole number of centavos")
		}
		power--
	}
	// Some twenty zeros make any sum too large, however large the exponent is.
	for ; power >= 0 && sum != 0 && fits; power-- {
		push('0')
	}

	if !negative {
		if sum == math.MinInt64 {
			fits = false
		}
		sum = -sum
	}
	if !fits {
		return 0, errDoesNotFit
	}
	return sum, nil
}

// skipDigits returns where the digits that begin at i end.
func skipDigits[T string | []byte](s T, i int) int {
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return i
}

// readExponent reads the exponent that begins at i and returns where it ends,
// which is i if there is none. It stops counting beyond a hundred million: no
// text has the digits to make up for such an exponent.
func readExponent[T string | []byte](s T, i int) (exponent, end int) {
	const enough = 100_000_000
	if i == len(s) || s[i] != 'e' && s[i] != 'E' {
		return 0, i
	}
	digits := i + 1
	negative := digits < len(s) && s[digits] == '-'
	if negative || digits < len(s) && s[digits] == '+' {
		digits++
	}
	end = skipDigits(s, digits)
	if end == digits {
		return 0, i
	}
	for ; digits < end; digits++ {
		if exponent < enough {
			exponent = exponent*10 + int(s[digits]-'0')
		}
	}
	if negative {
		exponent = -exponent
	}
	return exponent, end
}

var errDoesNotFit = amountError("it does not fit in 64 bits of centavos")

func amountError(reason string) error {
	return fmt.Errorf("%w: %s", ErrInvalidAmount, reason)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
