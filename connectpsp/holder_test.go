package connectpsp_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

func TestAccountsOfOneHolderAreToldFromThoseOfTwo(t *testing.T) {
	account := func(ispb, branch, number string) connectpsp.BankData {
		return connectpsp.BankData{ISPB: ispb, Branch: branch, Account: number}
	}
	registered := account("18236120", "0001", "947710840")
	for _, test := range []struct {
		name string
		a, b connectpsp.BankData
		want pix.HolderMatch
	}{
		{"equal", registered, registered, pix.HolderSame},
		{"another name of the bank", registered, connectpsp.BankData{ISPB: "18236120", Branch: "0001", Account: "947710840", Bank: "NU"}, pix.HolderSame},
		{"punctuation", registered, account("18236120", "0001", "94771084-0"), pix.HolderSame},
		{"leading zeros", registered, account("18236120", "1", "000947710840"), pix.HolderSame},
		{"leading zeros of the ISPB", account("00416968", "1", "77"), account("416968", "1", "77"), pix.HolderSame},
		{"the ISPB of zeros", account("00000000", "1", "77"), account("00000000", "1", "77"), pix.HolderSame},
		{"capitals", account("00000000", "1", "1234-x"), account("00000000", "1", "1234X"), pix.HolderSame},
		{"a branch in one only", registered, account("18236120", "", "947710840"), pix.HolderSame},
		{"another bank", registered, account("60701190", "0001", "947710840"), pix.HolderDifferent},
		{"another branch", registered, account("18236120", "0002", "947710840"), pix.HolderDifferent},
		{"another account", registered, account("18236120", "0001", "947710841"), pix.HolderDifferent},
		{"digits swapped", registered, account("18236120", "0001", "947710804"), pix.HolderDifferent},
		{"no check digit", registered, account("18236120", "0001", "94771084"), pix.HolderUnclear},
		{"a check digit of the branch", registered, account("18236120", "0001-9", "947710840"), pix.HolderUnclear},
		{"a kind of account in front", account("00360305", "1234", "123456"), account("00360305", "1234", "013 00123456"), pix.HolderUnclear},
		{"X for 0", account("00000000", "1", "1234-X"), account("00000000", "1", "1234-0"), pix.HolderUnclear},
		{"X for 1", account("00000000", "1", "1234-X"), account("00000000", "1", "1234-1"), pix.HolderDifferent},
		{"X for P", account("60746948", "1", "5551-X"), account("60746948", "1", "5551-P"), pix.HolderUnclear},
		{"P for 0", account("60746948", "1", "5551-P"), account("60746948", "1", "5551-0"), pix.HolderUnclear},
		{"P for 1", account("60746948", "1", "5551-P"), account("60746948", "1", "5551-1"), pix.HolderDifferent},
		{"a kind in front, and no check digit", account("00360305", "1234", "01300001234"), account("00360305", "1234", "1234-5"), pix.HolderUnclear},
		{"a kind in front, and a check digit", account("00360305", "1234", "013000012345"), account("00360305", "1234", "12345"), pix.HolderUnclear},
		{"a kind in front, and a check digit in that one only", account("00360305", "1234", "013.00012345-6"), account("00360305", "1234", "12345"), pix.HolderUnclear},
		{"another number behind a kind", account("00360305", "1234", "01300001235"), account("00360305", "1234", "1234-5"), pix.HolderDifferent},
		{"the last digit", account("18236120", "0001", "94771084-3"), account("18236120", "0001", "3"), pix.HolderDifferent},
		{"the last four digits", registered, account("18236120", "0001", "0840"), pix.HolderDifferent},
		{"more than a kind in front", account("18236120", "0001", "98765947710840"), registered, pix.HolderDifferent},
		{"one digit more in front, and another check digit", account("18236120", "0001", "11234"), account("18236120", "0001", "1234-5"), pix.HolderDifferent},
		{"a branch that ends like the other", account("18236120", "21", "947710840"), registered, pix.HolderDifferent},
		{"an underline", registered, account("18236120", "0001", "94771084_0"), pix.HolderSame},
		{"another account with an underline", registered, account("18236120", "0001", "555_1"), pix.HolderDifferent},
		{"a COMPE code in place of the ISPB", account("237", "1234", "5551"), account("60746948", "1234", "5551"), pix.HolderUnclear},
		{"the COMPE code of the ISPB of zeros", account("001", "1234", "5551"), account("00000000", "1234", "5551"), pix.HolderUnclear},
		{"the ISPB of zeros without them", account("0", "1234", "5551"), account("00000000", "1234", "5551"), pix.HolderSame},
		{"a COMPE code, and another account", account("237", "1234", "5551"), account("60746948", "1234", "5552"), pix.HolderDifferent},
		{"no ISPB", registered, account("", "0001", "947710840"), pix.HolderUnclear},
		{"no number", registered, account("18236120", "0001", ""), pix.HolderUnclear},
		{"masked", registered, account("18236120", "0001", "****10840"), pix.HolderUnclear},
		{"an odd digit", registered, account("18236120", "0001", "９47710840"), pix.HolderUnclear},
		{"nothing", connectpsp.BankData{}, connectpsp.BankData{}, pix.HolderUnclear},
		{"nothing but another bank", account("18236120", "", ""), account("60701190", "", ""), pix.HolderDifferent},
	} {
		assert.Equal(t, test.want, test.a.SameAccount(test.b), test.name)
		assert.Equal(t, test.want, test.b.SameAccount(test.a), "%s, the other way round", test.name)
	}
}

func TestAnAccountIsComparedWithEveryRegisteredOne(t *testing.T) {
	one := connectpsp.BankData{ISPB: "18236120", Account: "947710840"}
	two := connectpsp.BankData{ISPB: "60701190", Account: "12345-6"}
	uncheckedTwo := connectpsp.BankData{ISPB: "60701190", Account: "12345"}
	third := connectpsp.BankData{ISPB: "60701190", Account: "99999-9"}
	holder := connectpsp.Holder{Accounts: []connectpsp.BankData{one, two}}
	assert.Equal(t, pix.HolderSame, holder.MatchAccount(&one))
	assert.Equal(t, pix.HolderSame, holder.MatchAccount(&two))
	assert.Equal(t, pix.HolderUnclear, holder.MatchAccount(&uncheckedTwo))
	assert.Equal(t, pix.HolderDifferent, holder.MatchAccount(&third))
	assert.Equal(t, pix.HolderUnclear, holder.MatchAccount(nil))
	assert.Equal(t, pix.HolderUnclear, connectpsp.Holder{}.MatchAccount(&one))
}

func TestAHolderPrintsNothing(t *testing.T) {
	holder := connectpsp.Holder{Document: "12345678909", Accounts: []connectpsp.BankData{{ISPB: "18236120", Account: "947710840"}}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
		printed := fmt.Sprintf(verb, holder) + fmt.Sprintf(verb, &holder) + fmt.Sprintf(verb, []connectpsp.Holder{holder})
		assert.NotContains(t, printed, "123456", verb)
		assert.NotContains(t, printed, "947710840", verb)
	}
}

func FuzzSameAccount(f *testing.F) {
	f.Add("18236120", "0001", "947710840", "18236120", "1", "94771084-0")
	f.Add("00000000", "1", "1234-X", "0", "1", "1234-0")
	f.Add("", "", "", "", "", "")
	f.Fuzz(func(t *testing.T, ispb, branch, number, otherISPB, otherBranch, otherNumber string) {
		a := connectpsp.BankData{ISPB: ispb, Branch: branch, Account: number}
		b := connectpsp.BankData{ISPB: otherISPB, Branch: otherBranch, Account: otherNumber}
		match := a.SameAccount(b)
		assert.Equal(t, match, b.SameAccount(a), "the order counts")
		assert.NotEqual(t, pix.HolderDifferent, a.SameAccount(a), "an account differs from itself")
		if match == pix.HolderSame {
			assert.NotEmpty(t, number)
			assert.NotEmpty(t, otherNumber)
		}
	})
}
