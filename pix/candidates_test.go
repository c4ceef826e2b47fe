package pix_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
)

const evpText = "123e4567-e12b-12d1-a456-426655440000"

var typedKeys = []struct {
	text string
	want []string // each a type and a key
}{
	// What is both is a question. Its punctuation may answer it.
	{"11912345684", []string{"CPF 11912345684", "PHONE +5511912345684"}},
	{"119 12345684", []string{"CPF 11912345684", "PHONE +5511912345684"}},
	{"119.123.456-84", []string{"CPF 11912345684"}},
	{"119123456-84", []string{"CPF 11912345684"}},
	{"(11) 91234-5684", []string{"PHONE +5511912345684"}},
	{"11 9 1234-5684", []string{"PHONE +5511912345684"}},
	{"+55 11 91234-5684", []string{"PHONE +5511912345684"}},

	{"12345678909", []string{"CPF 12345678909"}},
	{" 123.456.789-09\n", []string{"CPF 12345678909"}},
	{"123 456 789 09", []string{"CPF 12345678909"}},
	{"123.456.789/09", []string{"CPF 12345678909"}},
	{"123456789-09", []string{"CPF 12345678909"}},
	{"\u200b123.456.789\u201109\ufeff", []string{"CPF 12345678909"}},
	{"12345678900", nil},
	{"1234567890", []string{"PHONE +551234567890"}}, // what a CPF is without its zero may be a phone number
	{"12.345.678-909", nil},
	{"111.111.111-11", nil},
	{"119.123.456-85", nil}, // a mistyped CPF, and no phone number
	{"119123456-85", nil},
	{"191", nil}, // a spreadsheet took its zeros

	{"00000000000191", []string{"CNPJ 00000000000191"}},
	{"00.000.000/0001-91", []string{"CNPJ 00000000000191"}},
	{"00 000 000 0001 91", []string{"CNPJ 00000000000191"}},
	{"12.ABC.345/01DE-35", []string{"CNPJ 12ABC34501DE35"}},
	{"12.abc.345/01de-35", []string{"CNPJ 12ABC34501DE35"}},
	{"12abc34501de05", nil}, // its check digits are right in lower case only
	{"00.000.000/0001-92", nil},
	{"000.000.000/001-91", nil},

	{"Maria@Example.com", []string{"EMAIL maria@example.com"}},
	{" <maria@example.com>, ", []string{"EMAIL maria@example.com"}},
	{"\u201cmaria@example.com\u201d.", []string{"EMAIL maria@example.com"}},
	{"\u00a0maria@exam\u00adple.com\u200b", []string{"EMAIL maria@example.com"}},
	{"12345678909@example.com", []string{"EMAIL 12345678909@example.com"}},
	{longestEmail, []string{"EMAIL " + longestEmail}},
	{"maria @example.com", nil},
	{"jo\u00e3o@example.com", nil},
	{"mari\u0430@example.com", nil}, // the Cyrillic letter
	{"maria@", nil},
	{"a" + longestEmail, nil},

	{"11987654321", []string{"PHONE +5511987654321"}},
	{"(11) 98765-4321", []string{"PHONE +5511987654321"}},
	{"(11)98765 4321", []string{"PHONE +5511987654321"}},
	{"11.98765.4321", []string{"PHONE +5511987654321"}},
	{"11/98765-4321", []string{"PHONE +5511987654321"}},
	{"011 98765-4321", []string{"PHONE +5511987654321"}},
	{"(011) 98765-4321", []string{"PHONE +5511987654321"}},
	{"0 11 98765-4321", []string{"PHONE +5511987654321"}},
	{"5511987654321", []string{"PHONE +5511987654321"}},
	{"55 (11) 9.8765-4321", []string{"PHONE +5511987654321"}},
	{"+5511987654321", []string{"PHONE +5511987654321"}},
	{"+55 11 98765-4321", []string{"PHONE +5511987654321"}},
	{"(+55) 11 98765-4321", []string{"PHONE +5511987654321"}},
	{"+55 (011) 98765-4321", []string{"PHONE +5511987654321"}},
	{"\u202a+55 11 98765\u20114321\u202c", []string{"PHONE +5511987654321"}},
	{"11 3333-4444", []string{"PHONE +551133334444"}},
	{"(011) 3333-4444", []string{"PHONE +551133334444"}},
	{"551133334444", []string{"PHONE +551133334444"}},
	{"(55) 99876-5432", []string{"PHONE +5555998765432"}}, // the area code 55
	{"55 98765-4321", []string{"PHONE +5555987654321"}},   // also
	{"5533334444", []string{"PHONE +555533334444"}},       // also
	{"+1 (202) 555-0123", []string{"PHONE +12025550123"}}, // as written
	{"+5510998765432", []string{"PHONE +5510998765432"}},  // the central bank's example
	{"11 8765-4321", nil},   // the 9 is missing
	{"98765-4321", nil},     // the area code is missing
	{"10 98765-4321", nil},  // no area code
	{"01 98765-4321", nil},  // no area code
	{"11 98 765-4321", nil}, // not how a number is grouped
	{"0800 123 4567", nil},  // has no key
	{"3333-4444/5555", nil}, // two numbers
	{"+55 11 98765-4321 ramal 5", nil},
	{"11 98765-4321 11 98765-4321", nil},
	{"+", nil},
	{"++5511987654321", nil},
	{"\uff11\uff11987654321", nil},

	{evpText, []string{"EVP " + evpText}},
	{strings.ToUpper(evpText), []string{"EVP " + evpText}},
	{"{" + evpText + "}", []string{"EVP " + evpText}},
	{strings.ReplaceAll(evpText, "-", ""), []string{"EVP " + evpText}},
	{strings.ReplaceAll(evpText, "-", "\u2013"), []string{"EVP " + evpText}},
	{"E1823612020260101120012345678901", nil}, // an end-to-end id
	{evpText + "0", nil},

	{"", nil},
	{" \t\n", nil},
	{"\u200b", nil},
	{"\xff\xfe", nil},
	{"maria", nil},
	{"R$ 10,00", nil},
	{strings.Repeat("1", 10_000), nil},
	{strings.Repeat(" 1", 10_000), nil},
}

func described(keys []pix.Key) (texts []string) {
	for _, key := range keys {
		texts = append(texts, string(key.Type())+" "+key.Text())
	}
	return texts
}

func TestWhatPeopleTypeIsEveryKeyThatItMayMean(t *testing.T) {
	for _, c := range typedKeys {
		assert.Equal(t, c.want, described(pix.KeyCandidates(c.text)), "%.60q", c.text)
	}
}

// The question that KeyCandidates puts is a rare one, but not so rare that a program never meets
// it.
func TestAboutOneMobileNumberInAHundredMayBeACPF(t *testing.T) {
	both := 0
	const numbers = 20_000
	for n := range numbers {
		if len(pix.KeyCandidates(fmt.Sprintf("119%08d", n*997%100_000_000))) == 2 {
			both++
		}
	}
	assert.InDelta(t, numbers/100, both, numbers/500)
}

func ExampleKeyCandidates() {
	for _, text := range []string{"(11) 98765-4321", "11912345684", "maria"} {
		candidates := pix.KeyCandidates(text)
		switch len(candidates) {
		case 0:
			fmt.Println("this is no PIX key")
		case 1:
			fmt.Println("pay to", candidates[0].Type(), candidates[0].Text()+"?")
		default:
			fmt.Println("is this a", candidates[0].Type(), "or a", candidates[1].Type(), "key?")
		}
	}
	// Output:
	// pay to PHONE +5511987654321?
	// is this a CPF or a PHONE key?
	// this is no PIX key
}

func FuzzKeyCandidates(f *testing.F) {
	for _, c := range typedKeys {
		f.Add(c.text)
	}
	for _, c := range validKeys {
		f.Add(c.text)
	}
	characters := func(text string) string {
		return strings.Map(func(r rune) rune {
			if strings.ContainsRune("0123456789abcdefghijklmnopqrstuvwxyz", r) {
				return r
			}
			return -1
		}, strings.ToLower(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		candidates := pix.KeyCandidates(text)
		for i, key := range candidates {
			require.False(t, i > 0 && slices.Index(keyTypes, key.Type()) <= slices.Index(keyTypes, candidates[i-1].Type()), "an order of types")
			again, err := pix.ParseKey(key.Type(), key.Text())
			require.NoError(t, err)
			require.Equal(t, key, again)
			require.Contains(t, pix.KeyCandidates(key.Text()), key, "a key means itself")

			// Nothing but +55 is added to the letters and digits, and nothing but the 0 or 55 of a
			// phone number is taken.
			typed, found := characters(text), characters(key.Text())
			switch {
			case strings.ContainsFunc(text, func(r rune) bool { return r > '~' }):
			case key.Type() == pix.KeyTypePhone && !strings.Contains(text, "+"):
				national, brazilian := strings.CutPrefix(found, "55")
				require.True(t, brazilian)
				require.Contains(t, []string{national, "0" + national, "55" + national}, typed)
			case key.Type() == pix.KeyTypePhone && strings.HasPrefix(typed, "550"):
				require.Equal(t, found, "55"+typed[3:])
			default:
				require.Equal(t, found, typed)
			}
		}
		if len(candidates) > 1 {
			require.Equal(t, []pix.KeyType{pix.KeyTypeCPF, pix.KeyTypePhone}, []pix.KeyType{candidates[0].Type(), candidates[1].Type()})
			require.Len(t, candidates, 2)
		}
		for _, keyType := range keyTypes {
			key, err := pix.ParseKey(keyType, text)
			if err == nil && !strings.HasPrefix(key.Text(), "+550") {
				require.Contains(t, candidates, key, "whatever ParseKey reads is a candidate")
			}
		}
	})
}
