package pix_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/connectpsp/connectpsp-go/pix"
)

func TestDocumentsOfOneHolderAreToldFromThoseOfTwo(t *testing.T) {
	const (
		maria   = "12345678909"
		other   = "52998224725"
		company = "12345678000195"
	)
	for _, test := range []struct {
		a, b string
		want pix.HolderMatch
	}{
		{maria, maria, pix.HolderSame},
		{maria, "123.456.789-09", pix.HolderSame},
		{maria, other, pix.HolderDifferent},
		{maria, "***.456.789-**", pix.HolderSame},
		{maria, "***456789**", pix.HolderSame},
		{maria, "XXX.456.789-XX", pix.HolderSame},
		{maria, "xxx.456.789-xx", pix.HolderSame},
		{maria, "•••.456.789-••", pix.HolderSame},
		{maria, ".456.789-", pix.HolderSame},
		{maria, "***.456.788-**", pix.HolderDifferent},
		{maria, ".982.247-", pix.HolderDifferent},
		{"***.456.789-**", "***.456.789-**", pix.HolderSame},
		{"***.456.789-**", "123.456.***-**", pix.HolderUnclear},
		{"***.456.789-**", "123.455.***-**", pix.HolderDifferent},
		{maria, "123.***.***-09", pix.HolderUnclear},
		{maria, "***.***.***-**", pix.HolderUnclear},
		{maria, "***.***.789-**", pix.HolderUnclear},
		{company, company, pix.HolderSame},
		{company, "12.345.678/0001-95", pix.HolderSame},
		{company, "**.345.678/****-**", pix.HolderSame},
		{company, "**.345.679/****-**", pix.HolderDifferent},
		{"12ABC34501DE35", "12.ABC.345/01DE-35", pix.HolderSame},
		{"12ABC34501DE35", "**.ABC.345/****-**", pix.HolderSame},
		{"12ABC34501DE35", "**.ABD.345/****-**", pix.HolderDifferent},
		{"12ABC34501DE35", "**.XBC.345/****-**", pix.HolderDifferent},
		{"12ABC34501DE35", "XX.ABC.345/XXXX-XX", pix.HolderSame},
		{maria, company, pix.HolderDifferent},
		{"***.456.789-**", "**.345.678/****-**", pix.HolderDifferent},
		{maria, "", pix.HolderUnclear},
		{"", "", pix.HolderUnclear},
		{maria, "12345678900", pix.HolderUnclear}, // wrong check digits
		{maria, "1234567890", pix.HolderUnclear},  // a lost zero
		{maria, "Maria Silva", pix.HolderUnclear},
		{maria, "***.4A6.789-**", pix.HolderUnclear},
		{maria, "***.456.789-** ", pix.HolderUnclear},
		{"11111111111", "11111111111", pix.HolderUnclear}, // belongs to no one
	} {
		assert.Equal(t, test.want, pix.SameHolder(test.a, test.b), "%s and %s", test.a, test.b)
		assert.Equal(t, test.want, pix.SameHolder(test.b, test.a), "%s and %s", test.b, test.a)
	}
}

func TestAHolderMatchHasAWordForPeople(t *testing.T) {
	assert.Equal(t, "same different unclear", fmt.Sprint(pix.HolderSame, pix.HolderDifferent, pix.HolderUnclear))
	assert.Zero(t, pix.HolderUnclear, "the zero value is no match")
}

// A document that is masked in any way is never told to be another's, and never to be the same as
// one that differs where it shows.
func FuzzSameHolder(f *testing.F) {
	f.Add("12345678909", "***.456.789-**", uint16(0b11100000111))
	f.Add("12ABC34501DE35", "12.ABC.345/01DE-35", uint16(0xff))
	f.Add("52998224725", ".982.247-", uint16(0))
	f.Fuzz(func(t *testing.T, a, b string, mask uint16) {
		assert.Equal(t, pix.SameHolder(a, b), pix.SameHolder(b, a))
		one, err := pix.ParseDocument(a)
		if err != nil {
			return
		}
		masked := []byte(one.Text())
		for i := range masked {
			if mask>>i&1 == 1 {
				masked[i] = '*'
			}
		}
		visible := len(masked) - strings.Count(string(masked), "*")
		match := pix.SameHolder(a, string(masked))
		if visible >= 6 {
			assert.Equal(t, pix.HolderSame, match)
		} else {
			assert.Equal(t, pix.HolderUnclear, match)
		}
		other, err := pix.ParseDocument(b)
		if err != nil {
			return
		}
		if one == other {
			assert.Equal(t, pix.HolderSame, pix.SameHolder(a, b))
			return
		}
		assert.Equal(t, pix.HolderDifferent, pix.SameHolder(a, b))
		agrees := one.Kind() == other.Kind()
		for i := range masked {
			agrees = agrees && (masked[i] == '*' || masked[i] == other.Text()[i])
		}
		if !agrees {
			assert.NotEqual(t, pix.HolderSame, pix.SameHolder(b, string(masked)))
		}
	})
}

func ExampleSameHolder() {
	fmt.Println(pix.SameHolder("12345678909", "***.456.789-**"))
	fmt.Println(pix.SameHolder("12345678909", "52998224725"))
	fmt.Println(pix.SameHolder("12345678909", ""))
	// Output:
	// same
	// different
	// unclear
}
