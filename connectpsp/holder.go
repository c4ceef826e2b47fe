package connectpsp

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/connectpsp/connectpsp-go/pix"
)

// Holder is a person or a company as you have registered it, such as a player: the one who may pay
// a charge, or may receive a payout. No payment matches the zero value. It prints without personal
// data.
type Holder struct {
	// Document is the CPF or the CNPJ as [pix.ParseDocument] reads it, with or without punctuation.
	// It may be masked, if it shows six characters at least. An empty or mistyped Document, or one
	// with spaces around it, lets no payment pass, also with AllowUnclear.
	Document string

	// Accounts are the registered accounts. Without any, every account will do whose holder has the
	// Document.
	Accounts []BankData

	// AllowUnclear lets a payment pass if it does not show whether it is the holder's, such as one
	// to a random PIX key. A Document that cannot be compared still lets no payment pass.
	AllowUnclear bool

	// Anyone lets every payment pass, such as one of your own company.
	Anyone bool
}

// LogValue returns "[redacted]".
func (Holder) LogValue() slog.Value { return redacted }

// Format prints LogValue under every verb.
func (h Holder) Format(state fmt.State, _ rune) { format(state, h) }

// MatchAccount compares an account with the registered ones by [BankData.SameAccount]. The result
// is [pix.HolderSame] if it is one of them, and [pix.HolderDifferent] if it is surely none. It is
// [pix.HolderUnclear] for nil, and if no account is registered.
func (h Holder) MatchAccount(account *BankData) pix.HolderMatch {
	if account == nil || len(h.Accounts) == 0 {
		return pix.HolderUnclear
	}
	match := pix.HolderDifferent
	for _, registered := range h.Accounts {
		switch account.SameAccount(registered) {
		case pix.HolderSame:
			return pix.HolderSame
		case pix.HolderUnclear:
			match = pix.HolderUnclear
		}
	}
	return match
}

// SameAccount compares two accounts by ISPB and number, and by branch if both have one. The name of
// the bank has no part in it. Punctuation, capitals and leading zeros do not count.
//
// Banks write one account in several ways. So these are [pix.HolderUnclear], not different:
//
//   - a number with and without its check digit,
//   - the check digits 0, X and P,
//   - a number of five characters or more, and the same with a kind of account in front, which has
//     four characters at most,
//   - an ISPB that is missing, or is shorter than eight digits and not equal: it may be another code
//     of the bank, such as 237,
//   - an account without a number.
func (b BankData) SameAccount(other BankData) pix.HolderMatch {
	bank := sameISPB(b.ISPB, other.ISPB)
	branch := pix.HolderSame
	if b.Branch != "" && other.Branch != "" {
		branch = sameNumber(b.Branch, other.Branch)
	}
	return worst(bank, branch, sameNumber(b.Account, other.Account))
}

// worst returns HolderDifferent if one of the matches is, HolderSame if all are, and otherwise
// HolderUnclear.
func worst(matches ...pix.HolderMatch) pix.HolderMatch {
	all := pix.HolderSame
	for _, match := range matches {
		switch match {
		case pix.HolderDifferent:
			return pix.HolderDifferent
		case pix.HolderUnclear:
			all = pix.HolderUnclear
		}
	}
	return all
}

func sameISPB(one, other string) pix.HolderMatch {
	switch {
	case !isISPB(one) || !isISPB(other):
		return pix.HolderUnclear
	case strings.TrimLeft(one, "0") == strings.TrimLeft(other, "0"):
		return pix.HolderSame
	case len(one) < 8 || len(other) < 8: // it may be another code of the same bank
		return pix.HolderUnclear
	default:
		return pix.HolderDifferent
	}
}

// isISPB reports whether text is the ISPB of a bank, which may have lost its leading zeros.
func isISPB(text string) bool {
	return text != "" && len(text) <= 8 && strings.Trim(text, "0123456789") == ""
}

// sameNumber compares two numbers of accounts or of branches.
func sameNumber(one, other string) pix.HolderMatch {
	short, long := bareNumber(one), bareNumber(other)
	if len(short) > len(long) {
		short, long = long, short
	}
	if short == "" {
		return pix.HolderUnclear
	}
	if short == long {
		return pix.HolderSame
	}
	last := len(long) - 1
	switch {
	case long[:last] == short: // it lacks its check digit
		return pix.HolderUnclear
	case len(short) == len(long) && short[:last] == long[:last] && isZeroXOrP(short[last]) && isZeroXOrP(long[last]):
		return pix.HolderUnclear
	case len(short) < shortestWithKind:
		return pix.HolderDifferent
	// One has the kind of account in front, and either may lack its check digit.
	case hasKind(long, short), hasKind(long[:last], short), len(long) > len(short) && hasKind(long, short[:len(short)-1]):
		return pix.HolderUnclear
	default:
		return pix.HolderDifferent
	}
}

// isZeroXOrP reports whether a check digit is one of those that banks write in place of each other.
func isZeroXOrP(c byte) bool { return strings.IndexByte("0XP", c) >= 0 }

// shortestWithKind is how long a number has to be to be found at the end of another. A shorter one
// is the end of too many numbers.
const shortestWithKind = 5

// hasKind reports whether long is the number short with a kind of account in front, which has four
// characters at most. Zeros may follow it, up to the full length of a number.
func hasKind(long, short string) bool {
	kind, found := strings.CutSuffix(long, short)
	return found && len(strings.TrimRight(kind, "0")) <= 4
}

// bareNumber returns the digits and letters of a number, without leading zeros. It returns nothing
// for a text that is no number of an account.
func bareNumber(number string) string {
	odd := false
	bare := strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9', r >= 'A' && r <= 'Z':
			return r
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case !strings.ContainsRune(" -./_", r):
			odd = true
		}
		return -1
	}, number)
	if odd {
		return ""
	}
	return strings.TrimLeft(bare, "0")
}
