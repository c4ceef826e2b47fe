package pix_test

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
)

var brazilianAmounts = map[string]int64{
	"R$ 0,00":                       0,
	"R$ 0,01":                       1,
	"-R$ 0,05":                      -5,
	"R$ 10,50":                      1050,
	"R$ 999,99":                     99999,
	"R$ 1.000,00":                   100000,
	"R$ 1.234,56":                   123456,
	"-R$ 12.345,67":                 -1234567,
	"R$ 123.456,78":                 12345678,
	"R$ 1.234.567,89":               123456789,
	"R$ 92.233.720.368.547.758,07":  math.MaxInt64,
	"-R$ 92.233.720.368.547.758,08": math.MinInt64,
}

var typedBrazilianAmounts = map[string]int64{
	"0":                   0,
	"50":                  5000,
	"1234":                123400,
	"1234,56":             123456,
	"1.234,56":            123456,
	"1.234,5":             123450,
	"1.234.567":           123456700,
	"0,5":                 50,
	"-3,20":               -320,
	"- 3,20":              -320,
	"R$50":                5000,
	"r$ 50,00":            5000,
	"R$\u00a01.234,56":    123456,
	"-R$\u00a01.234,56":   -123456,
	"R$\u202f-3,20":       -320,
	"R$ - 3,20":           -320,
	"  R$   3,20 \n":      320,
	"\u00a0R$ 3,20\u00a0": 320,
}

var unreadableBrazilianAmounts = []string{
	"", " ", "-", "R$", "R$ -", "R", "$ 1", "US$ 1", "BRL 1", "1 R$", "R$ R$ 1", "R $ 1", "1 real", "R$ 1,00 reais",
	"1.234", "R$ 1.234", "-1.234", "0.500", "12.34", "1.5", "1.2345", "1234.567", "1.23.456", "1.234.56", "1.234.5,00", "1234.567,00",
	"1,234.56", "1,234", "1,234,567", "1,500", "1,", "1.234,", ",5", ".234", ".234,00", "1.,00", "1..234,00", "1,.5", "1,5.", "1,-5",
	"01", "00,50", "0.123,00", "00.123,00", "+1", "--1", "-R$ -1", "- R$ - 1", "1-", "(1,00)", "1 234,56", "1_000",
	"1e2", "1,0e2", "NaN", "0x10", "１", "1,5０", "1\u200b", "\u22121,00", "1'234,00",
	"92.233.720.368.547.758,08", "-92.233.720.368.547.758,09", "999.999.999.999.999.999.999",
}

func TestAmountIsWrittenAsPeopleInBrazilWriteItAndReadBack(t *testing.T) {
	for text, centavos := range brazilianAmounts {
		assert.Equal(t, text, pix.Centavos(centavos).BRL())
		amount, err := pix.ParseBRL(text)
		require.NoError(t, err, text)
		assert.Equal(t, pix.Centavos(centavos), amount, text)
	}
}

func TestAmountIsReadAsPeopleInBrazilTypeIt(t *testing.T) {
	for text, centavos := range typedBrazilianAmounts {
		amount, err := pix.ParseBRL(text)
		require.NoError(t, err, "%q", text)
		assert.Equal(t, pix.Centavos(centavos), amount, "%q", text)
	}
}

func TestAmountRefusesATypedTextThatMayMeanAnotherAmount(t *testing.T) {
	for _, text := range unreadableBrazilianAmounts {
		amount, err := pix.ParseBRL(text)
		require.ErrorIs(t, err, pix.ErrInvalidAmount, "%q", text)
		assert.Zero(t, amount, "%q", text)
	}
}

// A text with a point and no comma, or the other way around, would be a hundred or a thousand times
// the amount for the other reader.
func TestNoTextIsTwoAmountsForTheTwoReaders(t *testing.T) {
	check := func(text string) {
		plain, err := pix.ParseAmount(text)
		if err != nil {
			return
		}
		if typed, err := pix.ParseBRL(text); err == nil {
			assert.Equal(t, plain, typed, text)
		}
	}
	for n := range int64(20_000) {
		check(pix.Centavos(n).String())
		check(fmt.Sprint(n))
		check(fmt.Sprintf("%d.%03d", n%200, n%1000))
	}
}

func ExampleAmount_BRL() {
	fmt.Println(pix.Centavos(123456).BRL())
	fmt.Println(pix.Centavos(-5).BRL())
	// Output:
	// R$ 1.234,56
	// -R$ 0,05
}

func ExampleParseBRL() {
	amount, err := pix.ParseBRL("R$ 1.234,56")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(amount)

	_, err = pix.ParseBRL("1.234") // a thousand reais, or little more than one?
	fmt.Println(err)
	// Output:
	// 1234.56
	// pix: invalid amount: its point may mark thousands or decimals; write 1.234,00
}

func FuzzParseBRL(f *testing.F) {
	for text := range brazilianAmounts {
		f.Add(text)
	}
	for text := range typedBrazilianAmounts {
		f.Add(text)
	}
	for _, text := range unreadableBrazilianAmounts {
		f.Add(text)
	}
	grammar := regexp.MustCompile(`^(?:(-?)[rR]\$(-?)|(-?))((?:0|[1-9][0-9]*|[1-9][0-9]{0,2}(?:\.[0-9]{3})+)(?:,[0-9]{1,2})?)$`)
	space := regexp.MustCompile(`^(-?)(\s*)([rR]\$)?(\s*)(-?)(\s*)`)
	ambiguous := regexp.MustCompile(`^[0-9]{1,3}\.[0-9]{3}$`)
	number := regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)
	f.Fuzz(func(t *testing.T, text string) {
		amount, err := pix.ParseBRL(text)

		bare := strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) {
				return ' '
			}
			return r
		}, text)
		bare = space.ReplaceAllString(strings.TrimSpace(bare), "$1$3$5")
		parts := grammar.FindStringSubmatch(bare)
		var centavos int64
		ok := parts != nil && parts[1]+parts[2] != "--" && !ambiguous.MatchString(parts[4])
		if ok {
			plain := strings.ReplaceAll(strings.ReplaceAll(parts[4], ".", ""), ",", ".")
			centavos, ok = exactCentavos(number, parts[1]+parts[2]+parts[3]+plain)
		}
		if !ok {
			require.ErrorIs(t, err, pix.ErrInvalidAmount)
			require.Zero(t, amount)
			return
		}
		require.NoError(t, err)
		require.Equal(t, centavos, amount.Centavos())
	})
}

func FuzzAmountBRL(f *testing.F) {
	for _, centavos := range brazilianAmounts {
		f.Add(centavos)
	}
	f.Fuzz(func(t *testing.T, centavos int64) {
		amount := pix.Centavos(centavos)
		again, err := pix.ParseBRL(amount.BRL())
		require.NoError(t, err)
		require.Equal(t, amount, again)
	})
}
