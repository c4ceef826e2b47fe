package pix

import "time"

// Time is a [time.Time] whose JSON decoding never fails.
//
// Dates in a response are information about a payment, not the payment. If one
// of them comes in an unforeseen form, an error there would make the whole
// response unreadable and an accepted payment would look like a failed one,
// which invites paying twice. So a date that cannot be read is the zero time,
// and the caller asks IsZero before using it.
//
// The zero value is the zero time. IsZero is promoted from time.Time, so the
// omitzero option of encoding/json works. Values are immutable and may be
// shared. Compare instants with Equal, not with ==.
type Time struct{ time.Time }

// UnmarshalJSON reads a JSON string with an RFC 3339 date and time and keeps
// its UTC offset, which may be written without its colon, as in -0300. Anything
// else gives the zero time: null, an empty string, a number, an object, a date
// without a time or without an offset. It always returns nil.
//
// The location of the result depends on the text alone: UTC for a zero offset
// and a nameless fixed zone for the others, never the zone of the machine.
func (t *Time) UnmarshalJSON(data []byte) error {
	*t = Time{}
	layout, ok := layoutOf(data)
	if !ok {
		return nil
	}
	// Parse would return time.Local where the offsets agree.
	parsed, err := time.ParseInLocation(layout, string(data[1:len(data)-1]), time.UTC)
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

// layoutOf returns the layout by which package time reads a JSON token, if it
// has the form of an RFC 3339 date and time, with or without a colon in its
// offset. The parser of package time is more lenient: it takes a comma before
// the fraction, hours of one digit, and offsets it cannot write.
func layoutOf(token []byte) (layout string, ok bool) {
	const upToSeconds = "\"0000-00-00T00:00:00"
	if len(token) <= len(upToSeconds) || !hasForm(token[:len(upToSeconds)], upToSeconds) {
		return "", false
	}
	rest := token[len(upToSeconds):]
	if rest[0] == '.' {
		digits := 0
		for digits+1 < len(rest) && isDigit(rest[digits+1]) {
			digits++
		}
		if digits == 0 {
			return "", false
		}
		rest = rest[digits+1:]
	}
	switch {
	case string(rest) == "Z\"":
		return time.RFC3339, true
	case hasForm(rest, "+00:00\""), hasForm(rest, "-00:00\""):
		return time.RFC3339, string(rest[1:3]) < "24" && string(rest[4:6]) < "60"
	case hasForm(rest, "+0000\""), hasForm(rest, "-0000\""):
		return "2006-01-02T15:04:05Z0700", string(rest[1:3]) < "24" && string(rest[3:5]) < "60"
	}
	return "", false
}

// hasForm compares text with a form, in which 0 stands for any digit.
func hasForm(text []byte, form string) bool {
	if len(text) != len(form) {
		return false
	}
	for i, c := range text {
		if c != form[i] && (form[i] != '0' || !isDigit(c)) {
			return false
		}
	}
	return true
}
