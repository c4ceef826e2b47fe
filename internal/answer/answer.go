// Package answer reads responses of the gateway: bounded, and without trust in their shape.
package answer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/connectpsp/connectpsp-go/internal/redact"
	"github.com/connectpsp/connectpsp-go/pix"
)

// Limit is the maximum size of a body, in bytes after decompression. A response with a QR code
// image has a few thousand.
const Limit = 2 << 20

// ErrTooLarge is returned by [Read] for a body longer than [Limit].
var ErrTooLarge = fmt.Errorf("the response is longer than %d bytes", Limit)

// errSwitched is returned for a response whose body is the connection itself, and ends when the
// peer closes it.
var errSwitched = errors.New("the response switches to another protocol")

// byteOrderMark is U+FEFF in UTF-8. Some services begin every text with it, though RFC 8259 section
// 8.1 forbids it in JSON.
var byteOrderMark = []byte("\xef\xbb\xbf")

// SkipMark returns text without a byte order mark at the beginning.
func SkipMark(text []byte) []byte { return bytes.TrimPrefix(text, byteOrderMark) }

// Read reads and closes the body of response. If that fails, it returns a redacted error and what
// could be read before it. A byte order mark at the beginning is left out.
func Read(response *http.Response) ([]byte, error) {
	body, err := read(response)
	return SkipMark(body), err
}

func read(response *http.Response) ([]byte, error) {
	defer response.Body.Close()
	if response.StatusCode == http.StatusSwitchingProtocols {
		return nil, errSwitched
	}
	size := 1024
	if n := response.ContentLength; n > 0 && n <= Limit {
		size = int(n) + 1 // one more, to see the end without another allocation
	}
	body := make([]byte, 0, size)
	for {
		n, err := response.Body.Read(body[len(body):min(cap(body), Limit+1)])
		body = body[:len(body)+n]
		switch {
		case len(body) > Limit:
			return body[:Limit], ErrTooLarge
		case err == io.EOF:
			return body, nil
		case err != nil:
			return body, redact.Error(err)
		case len(body) == cap(body):
			body = slices.Grow(body, len(body))
		}
	}
}

// ProblemDetails has the members of a problem, as in RFC 7807. Code is an extension of the
// gateway's, for programs; the other texts are the gateway's own words.
type ProblemDetails struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Problem decodes an application/problem+json body. Members that are missing or of another type
// stay empty, and all members do if the body is not a JSON object.
func Problem(body []byte) ProblemDetails {
	var problem ProblemDetails
	// A member of the wrong type leaves the others in place, and a syntax error leaves nothing.
	// Both are wanted, so the error does not matter.
	_ = json.Unmarshal(body, &problem)
	return problem
}

// Decode decodes a JSON object into the struct that into points to, which must be zero. A body that
// is not one JSON object is an error. A member that does not fit its field leaves the field zero,
// and is no error unless the field is an amount. For an amount Decode fills in all other fields and
// returns an error that wraps [pix.ErrInvalidAmount], and the caller decides. Only fields that
// follow the amount inside the same member of the response may stay zero too.
func Decode(body []byte, into any) error {
	if Plain(body, into) {
		return nil
	}
	reflect.ValueOf(into).Elem().SetZero() // Plain may have set some fields
	err := json.Unmarshal(body, into)
	if err == nil && bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return nil
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil || members == nil {
		return errors.New("the response is not a JSON object")
	}
	// Start again, one member at a time, so that an odd member does not affect the others.
	reflect.ValueOf(into).Elem().SetZero()
	var unreadable error
	for _, name := range slices.Sorted(maps.Keys(members)) { // two names may differ by case alone and mean one field
		one, err := json.Marshal(map[string]json.RawMessage{name: members[name]})
		if err != nil {
			continue
		}
		if err := json.Unmarshal(one, into); errors.Is(err, pix.ErrInvalidAmount) {
			unreadable = errors.Join(unreadable, err)
		}
	}
	return unreadable
}

// RetryAfter returns the pause that the header asks for, 0 if it asks for none. It reads both forms
// of RFC 9110: seconds and a date. It measures a date against the Date of the response, which comes
// from the same clock, and against the local clock if the response has no readable Date.
func RetryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) { // out of range ParseInt returns the nearest int64
		return time.Duration(min(max(seconds, 0), math.MaxInt64/int64(time.Second))) * time.Second
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(date.Sub(now), 0)
}
