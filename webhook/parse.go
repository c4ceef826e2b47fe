package webhook

import (
	"bytes"
	"compress/gzip"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/answer"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/signing"
)

const (
	// SignatureHeader is the header with the signature of the body, see [Parse].
	SignatureHeader = "X-Connect-Signature"
	// EventIDHeader is the header with the id of a delivery attempt, see [Event.DeliveryID]. It is
	// another one for each attempt, so it does not identify the event: [Event.Key] does.
	EventIDHeader = "X-Event-Id"
)

// ErrInvalidSignature is wrapped by the error of [Parse] if the signature does not prove that the
// body comes from the gateway. Respond 401 and say no more.
var ErrInvalidSignature = errors.New("webhook: invalid signature")

// ErrMalformed is wrapped by the error of [Parse] if a body with a valid signature is not a
// readable event. The gateway would send the same bytes again, so store them for manual review and
// respond 200.
var ErrMalformed = errors.New("webhook: malformed event")

// The reasons why a signature is invalid. They are preallocated, so that rejecting a forged request
// does not allocate.
var (
	errTwoSignatures  = invalid("there is more than one X-Connect-Signature")
	errNoSecret       = invalid("no secret was given to verify it with")
	errNoSignature    = invalid("there is no X-Connect-Signature")
	errNotHexadecimal = invalid("X-Connect-Signature is not 32 bytes in hexadecimal")
	errNoMatch        = invalid("no secret matches it")
)

func invalid(reason string) error { return fmt.Errorf("%w: %s", ErrInvalidSignature, reason) }

// Parse verifies and decodes a delivery. The signature is the HMAC-SHA256 of the body under the
// CryptoToken, in hexadecimal. For the body {"eventType":"CASHIN_PAID"} and the CryptoToken
// "crypto-token" the header is
//
//	X-Connect-Signature: f147d79896723b81728145c0283e40ec66ded858c871eabd784506922ffdd16b
//
// The body must be the bytes as they were received: JSON that was decoded and encoded again has
// another signature. Bound the body with [http.MaxBytesReader]; an event has about a thousand
// bytes. The header is that of the request, with its names in any case.
//
// The secrets are CryptoTokens. While you rotate one, pass both: a signature by either of them is
// valid. Unset secrets are skipped; if none is set, no signature is valid. There must be exactly
// one X-Connect-Signature. The error wraps [ErrInvalidSignature], and then the body was not
// decoded, or [ErrMalformed]. It quotes nothing of the body.
//
// A gzip body is decompressed, up to 64 KiB. Its signature may cover the compressed or the
// decompressed bytes. A byte order mark is skipped, and bytes that are not UTF-8 are decoded as
// ISO-8859-1. The body must then be one JSON object, in which no object has two members whose names
// are equal or differ in case only. An event of a published type must have a transactionId. In all
// other points Parse is lenient: a field that it cannot read is zero, and an event of an unknown
// type is an event.
//
// A valid signature does not make an event new: the same body verifies for ever. Deduplicate events
// by [Event.Key] to tell a repeated or replayed delivery from the first.
//
// Parse keeps no reference to body and header. Goroutines may call it concurrently.
func Parse(body []byte, header http.Header, secrets ...auth.Secret) (*Event, error) {
	signatures := valuesOf(header, SignatureHeader)
	err := verify(body, signatures, secrets)
	if err == errNoMatch && isGzip(body) {
		// The gateway may have signed the body before compressing it. gunzip is bounded, so a
		// forged body costs little.
		if unpacked, ok := gunzip(body); ok {
			body, err = unpacked, verify(unpacked, signatures, secrets)
		}
	}
	if err != nil {
		return nil, err
	}
	deliveryID := ""
	if ids := valuesOf(header, EventIDHeader); len(ids) > 0 {
		deliveryID = ids[0]
	}
	return read(body, deliveryID)
}

// valuesOf returns the values of a header under all spellings of its name, which is given in
// canonical form. net/http canonicalizes names; an adapter of a function platform may keep the
// spelling of the wire.
func valuesOf(header http.Header, name string) []string {
	values := header[name]
	for spelling, more := range header {
		if spelling != name && strings.EqualFold(spelling, name) {
			values = slices.Concat(values, more)
		}
	}
	return values
}

// read decodes a verified body.
func read(body []byte, deliveryID string) (*Event, error) {
	text, err := textOf(body)
	if err != nil {
		return nil, err
	}
	var e envelope
	if !answer.Plain(text, &e) {
		if e, err = parseStrict(text); err != nil {
			return nil, err
		}
	}
	event := &Event{
		Type:       e.EventType.eventType(),
		At:         e.EventAt.UTC(),
		DeliveryID: deliveryID,
		Raw:        bytes.Clone(text),
	}
	if event.Type == "" {
		return nil, malformed("it has no eventType")
	}
	if err := event.decode(e.Data); err != nil {
		return nil, err
	}
	return event, nil
}

// textOf returns a body decompressed, without a byte order mark, and in UTF-8. Nearly every body is
// all of this already, and is returned as it is.
func textOf(body []byte) ([]byte, error) {
	if isGzip(body) {
		unpacked, ok := gunzip(body)
		if !ok {
			return nil, malformed("it cannot be decompressed, or only to more than 64 KiB")
		}
		body = unpacked
	}
	body = answer.SkipMark(body)
	if utf8.Valid(body) {
		return body, nil
	}
	text := make([]byte, 0, 2*len(body))
	for len(body) > 0 {
		char, size := utf8.DecodeRune(body)
		if char == utf8.RuneError && size == 1 {
			char = rune(body[0]) // the first 256 characters of Unicode are those of ISO-8859-1
		}
		text = utf8.AppendRune(text, char)
		body = body[size:]
	}
	return text, nil
}

// isGzip reports whether a body begins as gzip does, and as no JSON does. It does not look at
// Content-Encoding: a proxy that decompresses may leave that header, and the inbox stores no
// headers.
func isGzip(body []byte) bool { return bytes.HasPrefix(body, []byte{0x1f, 0x8b}) }

// gunzip decompresses a body, if it is complete and has at most maxBody bytes then.
func gunzip(body []byte) (unpacked []byte, ok bool) {
	reader, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, false
	}
	unpacked, err = io.ReadAll(io.LimitReader(reader, maxBody+1))
	return unpacked, err == nil && len(unpacked) <= maxBody
}

// envelope has the members that all events share.
type envelope struct {
	EventType part     `json:"eventType"`
	EventAt   pix.Time `json:"eventAt"`
	Data      part     `json:"data"`
}

// part is a subslice of the body.
type part []byte

// UnmarshalJSON keeps data without a copy, where json.RawMessage copies it. Only answer.Plain calls
// it, with subslices of the body.
func (p *part) UnmarshalJSON(data []byte) error {
	*p = data
	return nil
}

// eventType decodes an event type. It returns "" if the part is not a JSON string.
func (p part) eventType() EventType {
	for _, known := range published {
		if len(p) == len(known)+2 && string(p[1:len(p)-1]) == string(known) && p[0] == '"' {
			return known
		}
	}
	var other EventType
	_ = json.Unmarshal(p, &other) // stays empty for a value that is not a string
	return other
}

func verify(body []byte, signatures []string, secrets []auth.Secret) error {
	set, valid := false, false
	if len(signatures) > 1 {
		return errTwoSignatures
	}
	text := strings.Join(signatures, "")
	var signature [sha256.Size]byte
	wellFormed := len(text) == hex.EncodedLen(sha256.Size)
	if wellFormed {
		_, err := hex.Decode(signature[:], []byte(text))
		wellFormed = err == nil
	}
	// Every secret is tried, so that the time taken does not reveal which one matched.
	for _, secret := range secrets {
		if secret.IsZero() {
			continue
		}
		set = true
		if hmac.Equal(signature[:], signing.Sum(secret.Reveal(), body)) {
			valid = true
		}
	}
	switch {
	case !set:
		return errNoSecret
	case len(signatures) == 0:
		return errNoSignature
	case !wellFormed:
		return errNotHexadecimal
	case !valid:
		return errNoMatch
	}
	return nil
}

// parseStrict is the slow path, for input that answer.Plain does not take. It refuses a body in
// which names are ambiguous, as Plain does.
func parseStrict(body []byte) (envelope, error) {
	tokens := json.NewDecoder(bytes.NewReader(body))
	tokens.UseNumber() // a number that fits no float must not fail the scan
	if err := scan(tokens, 0); err != nil {
		return envelope{}, err
	}
	// The scan stops after the first value, and is laxer about commas than Unmarshal.
	var odd struct {
		EventType json.RawMessage `json:"eventType"`
		EventAt   pix.Time        `json:"eventAt"`
		Data      json.RawMessage `json:"data"`
	}
	if json.Unmarshal(body, &odd) != nil {
		return envelope{}, errNotJSON
	}
	return envelope{part(odd.EventType), odd.EventAt, part(odd.Data)}, nil
}

// maxDepth is how deep objects and arrays may be nested. A published event has four levels.
const maxDepth = 32

// scan reads one JSON value, which at depth 0 must be an object. It refuses names that
// encoding/json resolves without an error: there the last of two members of one name wins, and
// "AMOUNT" matches "amount".
func scan(decoder *json.Decoder, depth int) error {
	token, err := decoder.Token()
	if err != nil {
		return errNotJSON
	}
	delim, nested := token.(json.Delim)
	switch {
	case depth == 0 && delim != '{':
		return malformed("it is not an object")
	case !nested:
		return nil
	case depth == maxDepth:
		return malformed("it is nested too deep")
	}
	names := make(map[string]bool)
	for decoder.More() {
		if delim == '{' {
			token, err := decoder.Token()
			name, ok := token.(string)
			if err != nil || !ok {
				return errNotJSON
			}
			name = strings.Map(fold, name)
			if names[name] {
				return malformed("an object has two members of the same name")
			}
			names[name] = true
		}
		if err := scan(decoder, depth+1); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return errNotJSON
	}
	return nil
}

// fold returns the smallest of the characters that encoding/json takes for r in a name. Lower case
// is not enough: encoding/json takes ſ for s.
func fold(r rune) rune {
	for {
		next := unicode.SimpleFold(r)
		if next <= r {
			return next
		}
		r = next
	}
}

// decode decodes data into CashIn or CashOut, depending on the type.
func (e *Event) decode(data []byte) error {
	var err error
	var transactionID string
	switch {
	case strings.HasPrefix(string(e.Type), "CASHIN_"):
		var cashIn connectpsp.CashIn
		if err = e.decodeInto(&cashIn, &cashIn.Amount, data); err == nil {
			e.CashIn, transactionID = &cashIn, cashIn.TransactionID
		}
	case strings.HasPrefix(string(e.Type), "CASHOUT_"):
		var cashOut connectpsp.CashOut
		if err = e.decodeInto(&cashOut, &cashOut.Amount, data); err == nil {
			e.CashOut, transactionID = &cashOut, cashOut.TransactionID
		}
	}
	switch {
	case !slices.Contains(published[:], e.Type):
		return nil
	case err != nil:
		return malformed("its data is not an object")
	case transactionID == "":
		return malformed("its data has no transactionId")
	}
	return nil
}

// decodeInto decodes data into a transaction, and amount is a field of that transaction. A number
// that is no whole number of centavos stays zero, and decodeInto records if it was the amount.
func (e *Event) decodeInto(transaction any, amount *pix.Amount, data []byte) error {
	err := answer.Decode(data, transaction)
	if errors.Is(err, pix.ErrInvalidAmount) {
		e.amountUnreadable = amount.IsZero()
		return nil
	}
	return err
}

var errNotJSON = malformed("it is not one JSON value")

func malformed(reason string) error { return fmt.Errorf("%w: %s", ErrMalformed, reason) }
