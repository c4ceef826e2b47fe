package pix_test

import (
	"encoding/json"
	"encoding/xml"
	"flag"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
)

var readableAmounts = map[string]int64{
	"0":                     0,
	"-0":                    0,
	"0.00":                  0,
	"0.01":                  1,
	"0.1":                   10,
	"-0.05":                 -5,
	"10":                    1000,
	"10.0":                  1000,
	"10.5":                  1050,
	"10.50":                 1050,
	"10.500":                1050,
	"10.50000000000":        1050,
	"-3.20":                 -320,
	"150.50":                15050,
	"123456789.23":          12345678923,
	"1500000":               150000000,
	"9999999999.99":         999999999999,
	"92233720368547758.07":  math.MaxInt64,
	"-92233720368547758.08": math.MinInt64,
}

var unreadableAmounts = []string{
	"", "-", "+1", ".5", "-.5", "1.", "1.-", "01", "00", "-01.00",
	" 1", "1 ", "1\n", "1,50", "1.000,00", "1.000.00", "1_000",
	"1e2", "1E2", "1.0e0", "0x10", "NaN", "Infinity", "-Infinity",
	"--1", "1-", "R$ 1", "１", "1\x00",
	"0.001", "10.505", "10.5000001",
	"92233720368547758.08", "-92233720368547758.09", "922337203685477580.7",
	"99999999999999999999999999",
}

func TestAmountReadsDecimalText(t *testing.T) {
	for text, centavos := range readableAmounts {
		t.Run(text, func(t *testing.T) {
			amount, err := pix.ParseAmount(text)
			require.NoError(t, err)
			assert.Equal(t, centavos, amount.Centavos())
			assert.Equal(t, pix.Centavos(centavos), amount)
		})
	}
}

func TestAmountRefusesWhatItCannotKeepExactly(t *testing.T) {
	for _, text := range unreadableAmounts {
		t.Run(text, func(t *testing.T) {
			amount, err := pix.ParseAmount(text)
			require.ErrorIs(t, err, pix.ErrInvalidAmount)
			assert.Zero(t, amount)
		})
	}
}

func TestAmountRefusesAThirdDecimal(t *testing.T) {
	for digit := '1'; digit <= '9'; digit++ {
		_, err := pix.ParseAmount("10.50" + string(digit))
		assert.ErrorIs(t, err, pix.ErrInvalidAmount)
	}
}

func TestAmountPrintsTwoDecimalsAndReadsThemBack(t *testing.T) {
	for centavos, text := range map[int64]string{
		0:             "0.00",
		1:             "0.01",
		-1:            "-0.01",
		99:            "0.99",
		-100:          "-1.00",
		1050:          "10.50",
		999999999999:  "9999999999.99",
		math.MaxInt64: "92233720368547758.07",
		math.MinInt64: "-92233720368547758.08",
	} {
		amount := pix.Centavos(centavos)
		assert.Equal(t, text, amount.String())
		assert.Equal(t, text, fmt.Sprint(amount))
		again, err := pix.ParseAmount(text)
		require.NoError(t, err)
		assert.Equal(t, amount, again)
	}
}

func TestAmountIsZeroOnlyForNoMoney(t *testing.T) {
	assert.True(t, pix.Amount{}.IsZero())
	assert.True(t, pix.Centavos(0).IsZero())
	assert.False(t, pix.Centavos(1).IsZero())
	assert.False(t, pix.Centavos(-1).IsZero())
}

func TestAmountIsWrittenAsAJSONNumber(t *testing.T) {
	type payment struct {
		Amount pix.Amount `json:"amount"`
		Fee    pix.Amount `json:"fee,omitzero"`
	}
	text, err := json.Marshal(payment{Amount: pix.Centavos(1050)})
	require.NoError(t, err)
	assert.Equal(t, `{"amount":10.50}`, string(text))
}

func TestAmountIsReadFromAJSONNumberOrString(t *testing.T) {
	for text, centavos := range readableAmounts {
		for _, token := range []string{text, `"` + text + `"`} {
			var amount pix.Amount
			require.NoError(t, json.Unmarshal([]byte(token), &amount), token)
			assert.Equal(t, centavos, amount.Centavos(), token)
		}
	}
}

func TestAmountReadsAJSONNumberHoweverItIsWritten(t *testing.T) {
	zeros := strings.Repeat("0", 100_000)
	for token, centavos := range map[string]int64{
		"1E+2":                               10000,
		"1e2":                                10000,
		"1.05e1":                             1050,
		"10050e-2":                           10050,
		"-10050E-2":                          -10050,
		"1e-2":                               1,
		"0.5e0":                              50,
		"12e00":                              1200,
		"1050.000e-2":                        1050,
		"9.223372036854775807e16":            math.MaxInt64,
		"-9223372036854775808e-2":            math.MinInt64,
		"0e999999999999999999999999":         0,
		"0.00E-999999999999999999999999":     0,
		"0.00000000000000000000001050e24":    1050,
		"105" + zeros + "e-100001":           1050,
		"0." + zeros + "105e100002":          1050,
		"1e0" + zeros:                        100,
		`"1E+2"`:                             10000,
		`"10050e-2"`:                         10050,
		"0.0000000000000000000000000000e-30": 0,
	} {
		var amount pix.Amount
		require.NoError(t, json.Unmarshal([]byte(token), &amount), "%.50s", token)
		assert.Equal(t, centavos, amount.Centavos(), "%.50s", token)
	}
}

func TestAmountRefusesAnExponentThatItCannotKeepExactly(t *testing.T) {
	for _, token := range []string{
		"1e-3", "1.001e0", "1005e-3", "1e17", "-1e17", "9.2233720368547758071e16", "9.223372036854775808e16", "-9.223372036854775809e16",
		"1e999999999999999999999999", "1e-999999999999999999999999", "1e2147483648", "1e-2147483648", "1e9223372036854775808",
		"1e18446744073709551618", "100e-18446744073709551616", // 2 and 0 in 64 bits
		"1" + strings.Repeat("0", 100) + "1e-101",
	} {
		var amount pix.Amount
		assert.ErrorIs(t, json.Unmarshal([]byte(token), &amount), pix.ErrInvalidAmount, token)
		assert.Zero(t, amount, token)
	}
}

func TestAmountIsReadWithoutAFloat(t *testing.T) {
	// The double nearest to this number is 90071992547409.94.
	const text = "90071992547409.93"
	var amount pix.Amount
	require.NoError(t, json.Unmarshal([]byte(text), &amount))
	assert.Equal(t, int64(9007199254740993), amount.Centavos())
	assert.Equal(t, text, amount.String())
}

func TestAmountKeepsItsValueOnNullAndOnError(t *testing.T) {
	amount := pix.Centavos(7)
	require.NoError(t, json.Unmarshal([]byte("null"), &amount))
	assert.Equal(t, pix.Centavos(7), amount)

	for _, token := range []string{
		`true`, `{}`, `[]`, `[1]`, `""`, `"`, `" 1"`, `"null"`, `"1,00"`, `1e`, `"1e+"`, `1e2.5`, `1e-3`, `1ee2`, `e2`, `0.001`, `"\u0031"`, `"1`, `1"`,
	} {
		err := amount.UnmarshalJSON([]byte(token))
		require.ErrorIs(t, err, pix.ErrInvalidAmount, token)
		assert.Equal(t, pix.Centavos(7), amount, token)
	}
	require.ErrorIs(t, json.Unmarshal([]byte(`1e-3`), &amount), pix.ErrInvalidAmount)
}

func TestAmountIsTextInXMLAndInKeysOfJSON(t *testing.T) {
	type payment struct {
		Amount pix.Amount `xml:"amount,attr"`
	}
	text, err := xml.Marshal(payment{Amount: pix.Centavos(-1050)})
	require.NoError(t, err)
	assert.Equal(t, `<payment amount="-10.50"></payment>`, string(text))
	var read payment
	require.NoError(t, xml.Unmarshal(text, &read))
	assert.Equal(t, pix.Centavos(-1050), read.Amount)

	var fees map[pix.Amount]int
	require.NoError(t, json.Unmarshal([]byte(`{"10.5":3}`), &fees))
	assert.Equal(t, map[pix.Amount]int{pix.Centavos(1050): 3}, fees)
}

func TestAmountReadsAsTextWhatParseAmountReads(t *testing.T) {
	for text, centavos := range readableAmounts {
		var amount pix.Amount
		require.NoError(t, amount.UnmarshalText([]byte(text)), text)
		assert.Equal(t, centavos, amount.Centavos(), text)
	}
	for _, text := range append(unreadableAmounts, "null", `"1"`) {
		amount := pix.Centavos(7)
		require.ErrorIs(t, amount.UnmarshalText([]byte(text)), pix.ErrInvalidAmount, text)
		assert.Equal(t, pix.Centavos(7), amount, text)
	}
}

var summands = []int64{0, 1, -1, 99, -1050, 1050, math.MaxInt64 / 2, math.MinInt64 / 2, math.MaxInt64 - 1, math.MaxInt64,
	math.MinInt64 + 1, math.MinInt64}

// requireExactArithmetic compares Add, Sub and Cmp with big arithmetic.
func requireExactArithmetic(t *testing.T, a, b int64) {
	require.Equal(t, big.NewInt(a).Cmp(big.NewInt(b)), pix.Centavos(a).Cmp(pix.Centavos(b)))
	sum, err := pix.Centavos(a).Add(pix.Centavos(b))
	requireExact(t, new(big.Int).Add(big.NewInt(a), big.NewInt(b)), sum, err)
	difference, err := pix.Centavos(a).Sub(pix.Centavos(b))
	requireExact(t, new(big.Int).Sub(big.NewInt(a), big.NewInt(b)), difference, err)
}

func requireExact(t *testing.T, exact *big.Int, got pix.Amount, err error) {
	if !exact.IsInt64() {
		require.ErrorIs(t, err, pix.ErrInvalidAmount, "%s", exact)
		require.Zero(t, got)
		return
	}
	require.NoError(t, err, "%s", exact)
	require.Equal(t, exact.Int64(), got.Centavos())
}

func TestAmountsAreAddedExactlyOrNotAtAll(t *testing.T) {
	for _, a := range summands {
		for _, b := range summands {
			requireExactArithmetic(t, a, b)
		}
	}
}

func TestAmountReadsANumberWithoutAllocating(t *testing.T) {
	var amount pix.Amount
	token := []byte("9999999999.99")
	assert.Zero(t, testing.AllocsPerRun(100, func() { _ = amount.UnmarshalJSON(token) }))
}

func ExampleParseAmount() {
	amount, err := pix.ParseAmount("10.5")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(amount, amount.Centavos())

	_, err = pix.ParseAmount("10.505")
	fmt.Println(err)
	// Output:
	// 10.50 1050
	// pix: invalid amount: it is not a whole number of centavos
}

func ExampleAmount() {
	var payment struct {
		Amount pix.Amount `json:"amount"`
	}
	if err := json.Unmarshal([]byte(`{"amount": 0.1}`), &payment); err != nil {
		fmt.Println(err)
		return
	}
	var err error
	if payment.Amount, err = payment.Amount.Add(pix.Centavos(20)); err != nil {
		fmt.Println(err)
		return
	}
	text, err := json.Marshal(payment)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(text))
	// Output: {"amount":0.30}
}

func ExampleAmount_Add() {
	total, err := pix.Centavos(1050).Add(pix.Centavos(20))
	fmt.Println(total, err)

	_, err = total.Add(pix.Centavos(math.MaxInt64))
	fmt.Println(err)
	// Output:
	// 10.70 <nil>
	// pix: invalid amount: it does not fit in 64 bits of centavos
}

func ExampleAmount_Sub() {
	rest, err := pix.Centavos(1050).Sub(pix.Centavos(2000))
	fmt.Println(rest, err)
	// Output: -9.50 <nil>
}

func ExampleAmount_Cmp() {
	limit := pix.Centavos(100_00)
	fmt.Println(pix.Centavos(99_99).Cmp(limit) < 0)

	amounts := []pix.Amount{limit, pix.Centavos(-5), pix.Centavos(1050)}
	slices.SortFunc(amounts, pix.Amount.Cmp)
	fmt.Println(amounts)
	// Output:
	// true
	// [-0.05 10.50 100.00]
}

func ExampleAmount_MarshalText() {
	fees := map[pix.Amount]int{pix.Centavos(1050): 3}
	text, err := json.Marshal(fees)
	fmt.Println(string(text), err)
	// Output: {"10.50":3} <nil>
}

func ExampleAmount_UnmarshalText() {
	var limit pix.Amount
	flags := flag.NewFlagSet("payout", flag.ContinueOnError)
	flags.TextVar(&limit, "limit", pix.Centavos(100_00), "the most to pay, in reais")
	if err := flags.Parse([]string{"-limit", "250.5"}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(limit)
	// Output: 250.50
}

func BenchmarkAmountUnmarshalJSON(b *testing.B) {
	token := []byte("123456789.23")
	b.ReportAllocs()
	var amount pix.Amount
	for b.Loop() {
		if err := amount.UnmarshalJSON(token); err != nil {
			b.Fatal(err)
		}
	}
}

func seedAmounts(f *testing.F) {
	for text := range readableAmounts {
		f.Add(text)
	}
	for _, text := range unreadableAmounts {
		f.Add(text)
	}
}

// exactCentavos tells by big arithmetic which amount a number is, if it is one
// and has the form that grammar says.
func exactCentavos(grammar *regexp.Regexp, text string) (centavos int64, ok bool) {
	if !grammar.MatchString(text) {
		return 0, false
	}
	exact, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, false
	}
	exact.Mul(exact, big.NewRat(100, 1))
	return exact.Num().Int64(), exact.IsInt() && exact.Num().IsInt64()
}

func FuzzParseAmount(f *testing.F) {
	seedAmounts(f)
	grammar := regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)
	f.Fuzz(func(t *testing.T, text string) {
		amount, err := pix.ParseAmount(text)
		asText := pix.Centavos(7)
		if unmarshalled := asText.UnmarshalText([]byte(text)); err == nil {
			require.NoError(t, unmarshalled)
			require.Equal(t, amount, asText)
		} else {
			require.Equal(t, err, unmarshalled)
			require.Equal(t, pix.Centavos(7), asText)
		}
		centavos, ok := exactCentavos(grammar, text)
		if !ok {
			require.ErrorIs(t, err, pix.ErrInvalidAmount)
			return
		}
		require.NoError(t, err)
		require.Equal(t, centavos, amount.Centavos())
		again, err := pix.ParseAmount(amount.String())
		require.NoError(t, err)
		require.Equal(t, amount, again)
	})
}

func FuzzAmountJSON(f *testing.F) {
	seedAmounts(f)
	for _, token := range []string{`"10.50"`, `null`, `{"amount":1}`, `1E+2`, `1.05e1`, `10050e-2`, `-0.0e-0`, `"1e3"`, `1e-3`, `922337203685477580.7e-1`} {
		f.Add(token)
	}
	number := regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$`)
	longExponent := regexp.MustCompile(`[eE][+-]?[0-9]{4}`)
	f.Fuzz(func(t *testing.T, token string) {
		var amount pix.Amount
		err := amount.UnmarshalJSON([]byte(token))
		if token == "null" {
			require.NoError(t, err)
			return
		}
		text := token
		if len(token) >= 2 && token[0] == '"' && token[len(token)-1] == '"' {
			text = token[1 : len(token)-1]
		}
		if longExponent.MatchString(text) {
			return // big arithmetic would take too long
		}
		centavos, ok := exactCentavos(number, text)
		if !ok {
			require.ErrorIs(t, err, pix.ErrInvalidAmount)
			require.Zero(t, amount)
			return
		}
		require.NoError(t, err)
		require.Equal(t, centavos, amount.Centavos())
		written, err := json.Marshal(amount)
		require.NoError(t, err)
		var again pix.Amount
		require.NoError(t, json.Unmarshal(written, &again))
		require.Equal(t, amount, again)
	})
}

func FuzzAmountArithmetic(f *testing.F) {
	for _, a := range summands {
		for _, b := range summands {
			f.Add(a, b)
		}
	}
	f.Fuzz(requireExactArithmetic)
}

func TestReadingAnAmountAllocatesNothing(t *testing.T) {
	token := []byte("1234.50")
	var amount pix.Amount
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		if amount.UnmarshalJSON(token) != nil {
			t.Fatal("the amount is not read")
		}
	}))
}
