package pix

import (
	"regexp"
	"time"
)

// Time is a [time.Time] whose JSON decoding never fails.
//
// Dates in an answer are information about a payment, not the payment. If one
// of them comes in a form nobody foresaw, an error there would make the whole
// answer unreadable and an accepted payment would look like a failed one,
// which invites paying twice. So a date that cannot be read is the zero time,
// and the caller asks IsZero before using it.
//
// The zero value is the zero time. IsZero is promoted from time.Time, so the
// omitzero option of encoding/json works. Values are immutable and may be
// shared. Compare instants with Equal, not with ==.
type Time struct{ time.Time }

// The parser of package time is more lenient than RFC 3339: it takes a comma
// before the fraction, hours of one digit, and offsets it cannot write.
var rfc3339Token = regexp.MustCompile(
	`^"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"$`)

// UnmarshalJSON reads a JSON string with an RFC 3339 date and time and keeps
// its UTC offset. Anything else gives the zero time: null, an empty string, a
// number, an object, a date without a time or without an offset. It always
// returns nil.
//
// The location of the result depends on the text alone: UTC for a zero offset
// and a nameless fixed zone for the others, never the zone of the machine.
func (t *Time) UnmarshalJSON(data []byte) error {
	*t = Time{}
	if !rfc3339Token.Match(data) {
		return nil
	}
	// Parse would answer in time.Local where the offsets agree.
	parsed, err := time.ParseInLocation(time.RFC3339, string(data[1:len(data)-1]), time.UTC)
	if err == nil {
		t.Time = parsed
	}
	return nil
}

// MarshalJSON writes the time in RFC 3339 with its own offset, and with
// fractions of a second if it has any. The zero time is written as null. A
// year outside 0 to 9999, which RFC 3339 cannot express, is an error.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return t.Time.MarshalJSON()
}
