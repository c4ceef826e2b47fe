package pix

import (
	"errors"
	"fmt"
	"time"
)

// ErrInvalidEndToEndID is wrapped by every error of [ParseEndToEndID].
var ErrInvalidEndToEndID = errors.New("pix: invalid end-to-end id")

// An end-to-end id is a letter, the ISPB, the minute and a suffix.
const (
	endToEndISPB   = 1
	endToEndMinute = endToEndISPB + 8
	endToEndSuffix = endToEndMinute + len(minuteLayout)
	endToEndLength = endToEndSuffix + 11

	minuteLayout = "200601021504"
)

// EndToEndID is the identifier of a PIX payment or return, taken apart:
// E or D, the ISPB of the participant that made it, a minute and a suffix.
//
// It is meant for display. Identifiers that do not follow the layout exist in
// the wild, so nothing that moves money may depend on whether one can be
// parsed; keep and compare ids as strings, with regard to case, and use
// [IsEndToEndID] where only the shape matters.
//
// The zero value holds no id: its texts are empty and its time is zero. Values
// are immutable and may be shared; two ids are equal when == says so. An id is
// not personal data and prints in full.
type EndToEndID struct{ text string }

// ParseEndToEndID reads an id of exactly 32 characters: E for a payment or D
// for a return, 8 digits or upper-case letters of ISPB, the minute as
// yyyyMMddHHmm, and 11 ASCII letters or digits. Case counts and nothing is
// trimmed. Every error wraps [ErrInvalidEndToEndID].
func ParseEndToEndID(s string) (EndToEndID, error) {
	if !IsEndToEndID(s) {
		return EndToEndID{}, endToEndIDError("it must be E or D and 31 letters or digits")
	}
	if countFunc(s[endToEndISPB:endToEndMinute], isUpperAlphanumeric) != endToEndMinute-endToEndISPB {
		return EndToEndID{}, endToEndIDError("its ISPB has a lower-case letter")
	}
	if _, err := time.Parse(minuteLayout, s[endToEndMinute:endToEndSuffix]); err != nil {
		return EndToEndID{}, endToEndIDError("it has no valid date and time")
	}
	return EndToEndID{text: s}, nil
}

// IsReturn reports whether the id names a return of money (it starts with D)
// and not a payment.
func (e EndToEndID) IsReturn() bool { return e.text != "" && e.text[0] == 'D' }

// ISPB returns the 8 characters that name the participant that made the id,
// which need not be the bank of the payer.
func (e EndToEndID) ISPB() string { return e.part(endToEndISPB, endToEndMinute) }

// Time returns the minute written in the id, in UTC. Participants may be up to
// 12 hours off, so it is for display only and not when the payment happened.
func (e EndToEndID) Time() time.Time {
	// The parser has accepted this text; for the zero value the error leaves
	// the zero time.
	minute, _ := time.Parse(minuteLayout, e.part(endToEndMinute, endToEndSuffix))
	return minute
}

// Suffix returns the last 11 characters, which the participant chose.
func (e EndToEndID) Suffix() string { return e.part(endToEndSuffix, endToEndLength) }

// String returns the id itself.
func (e EndToEndID) String() string { return e.text }

// MarshalText returns the id itself. There is no UnmarshalText, so that a
// message does not become unreadable because of an id in an unusual layout:
// decode ids as strings.
func (e EndToEndID) MarshalText() ([]byte, error) { return []byte(e.text), nil }

func (e EndToEndID) part(from, to int) string {
	if e.text == "" {
		return ""
	}
	return e.text[from:to]
}

// IsEndToEndID reports whether s has the shape of an end-to-end id: E or D and
// 31 ASCII letters or digits. This is the check for deciding what to do with
// an id. It accepts ids that [ParseEndToEndID] refuses because of the ISPB or
// the date in them, and the banking network makes payments with such ids.
func IsEndToEndID(s string) bool {
	return len(s) == endToEndLength &&
		(s[0] == 'E' || s[0] == 'D') &&
		countFunc(s, isAlphanumeric) == len(s)
}

func endToEndIDError(reason string) error {
	return fmt.Errorf("%w: %s", ErrInvalidEndToEndID, reason)
}
