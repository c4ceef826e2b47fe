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

// ErrInvalidSignature is wrapped by the error of Parse if the body is not proven to come from the
// gateway. Answer 401 and say no more.
var ErrInvalidSignature = errors.New("webhook: invalid signature")

// ErrMalformed is wrapped by the error of Parse if a body with a valid signature is not an event
// that can be read. The same bytes would come again, so keep them for a person to look at and
// answer 200.
var ErrMalformed = errors.New("webhook: malformed event")

// What is wrong with a signature. These are made once: whoever sends forged events is to cost as
// little as can be.
var (
	errTwoSignatures  = invalid("there is more than one X-Connect-Signature")
	errNoSecret       = invalid("no secret was given to verify it with")
	errNoSignature    = invalid("there is no X-Connect-Signature")
	errNotHexadecimal = invalid("X-Connect-Signature is not 32 bytes in hexadecimal")
	errNoMatch        = invalid("no secret matches it")
)

func invalid(reason string) error { return fmt.Errorf("%w: %s", ErrInvalidSignature, reason) }

// Parse verifies a delivery and reads it. The body must be the bytes as they were received: decoded
// and encoded again, they have another signature. Bound them with http.MaxBytesReader; an event is
// about a thousand bytes long. The header is that of the request, with its names in any case.
//
// The secrets are CryptoTokens. While one is being replaced, give both: a signature by any of them
// is valid. Unset secrets are skipped, and if none is set nothing is valid. There must be exactly
// one X-Connect-Signature. The error wraps ErrInvalidSignature, and then the body was not read, or
// ErrMalformed; it repeats nothing of the body.
//
// A body in gzip is unpacked, up to 64 KiB, and its signature may be over the bytes as they came or
// over what they unpack to. A byte order mark is skipped, and bytes that are not UTF-8 are read as
// ISO-8859-1. The body must then be one JSON object, in which no object has two members whose names
// are equal or differ in case only. An event of a published type must have a transactionId. In all
// else Parse is lenient: a field it cannot read is zero and a type it does not know is an event all
// the same.
//
// A valid signature does not make an event new: the same body is valid for ever. Only the
// receiver's record of Keys tells a repeated or replayed delivery from the first.
//
// Parse keeps neither body nor header. It may be called by several goroutines at once.
func Parse(body []byte, header http.Header, secrets ...auth.Secret) (*Event, error) {
	signatures := valuesOf(header, "X-Connect-Signature")
	err := verify(body, signatures, secrets)
	if err == errNoMatch && isGzip(body) {
		// It may have been signed before it was packed. Gunzip is bounded, so a forged body costs
		// little.
		if unpacked, ok := gunzip(body); ok {
			body, err = unpacked, verify(unpacked, signatures, secrets)
		}
	}
	if err != nil {
		return nil, err
	}
	deliveryID := ""
	if ids := valuesOf(header, "X-Event-Id"); len(ids) > 0 {
		deliveryID = ids[0]
	}
	return read(body, deliveryID)
}

// valuesOf returns the values of a header under all spellings of its name, which is given in its
// canonical form. Net/http makes a Header of canonical names only; an adapter of a function
// platform may keep those of the wire.
func valuesOf(header http.Header, name string) []string {
	values := header[name]
	for spelling, more := range header {
		if spelling != name && strings.EqualFold(spelling, name) {
			values = slices.Concat(values, more)
		}
	}
	return values
}

// read reads a body that was verified.
func read(body []byte, deliveryID string) (*Event, error) {
	text, err := textOf(body)
	if err != nil {
		return nil, err
	}
	var envelope envelope
	if !answer.Plain(text, &envelope) {
		if envelope, err = parseStrict(text); err != nil {
			return nil, err
		}
	}
	event := &Event{
		Type:       envelope.EventType.eventType(),
		At:         envelope.EventAt.UTC(),
		DeliveryID: deliveryID,
		Raw:        bytes.Clone(text),
	}
	if event.Type == "" {
		return nil, malformed("it has no eventType")
	}
	if err := event.decode(envelope.Data); err != nil {
		return nil, err
	}
	return event, nil
}

// textOf returns the text of a body: unpacked, without a byte order mark, and in UTF-8. That is
// nearly always the body as it is.
func textOf(body []byte) ([]byte, error) {
	if isGzip(body) {
		unpacked, ok := gunzip(body)
		if !ok {
			return nil, malformed("it cannot be unpacked, or to more than 64 KiB")
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

// isGzip reports whether a body begins as gzip does, and as no JSON does. The header
// Content-Encoding is not asked: a proxy that unpacks may leave it, and the inbox keeps none.
func isGzip(body []byte) bool { return bytes.HasPrefix(body, []byte{0x1f, 0x8b}) }

// gunzip unpacks a body, if that is whole and no longer than maxBody.
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

// part is a part of a body, as it stands there.
type part []byte

// UnmarshalJSON keeps data as it is, where json.RawMessage copies it. Only answer.Plain calls it,
// which gives it parts of the body.
func (p *part) UnmarshalJSON(data []byte) error {
	*p = data
	return nil
}

// eventType reads a type, or nothing if it is not a text.
func (p part) eventType() EventType {
	for _, known := range published {
		if len(p) == len(known)+2 && string(p[1:len(p)-1]) == string(known) && p[0] == '"' {
			return known
		}
	}
	var other EventType
	_ = json.Unmarshal(p, &other) // stays empty for a value that is no text
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
	// All secrets are tried, so that the time it takes does not tell which one matched.
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

// parseStrict is the slow path, for input that answer.Plain does not take. It refuses a text in
// which names are ambiguous, as Plain does.
func parseStrict(body []byte) (envelope, error) {
	tokens := json.NewDecoder(bytes.NewReader(body))
	tokens.UseNumber() // a number that fits no float is none of the scan's business
	if err := scan(tokens, 0); err != nil {
		return envelope{}, err
	}
	// The scan stops after the first value, and is laxer about commas and the like.
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

// scan reads one JSON value, which at depth 0 must be an object, and refuses input that
// encoding/json would settle in silence: the last of two members of one name wins there, and
// "AMOUNT" is "amount".
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
// would not do: ſ is an s to it.
func fold(r rune) rune {
	for {
		next := unicode.SimpleFold(r)
		if next <= r {
			return next
		}
		r = next
	}
}

// decode reads data into CashIn or CashOut, as the type says.
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

// decodeInto reads data into a transaction, of which amount is a part. A number that is no amount
// of money stays zero, and is noted if it is that amount.
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
