package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/connectpsp/connectpsp-go/pix"
)

// bodyLimit is the maximum size of a request body in bytes.
const bodyLimit = 64 << 10

// largestAmount is the largest amount of a PIX message, in centavos.
const largestAmount = 999_999_999_999

// object is a JSON object of a request. Its methods read a member by its exact name. They record
// the first invalid member, which err returns; nested objects share that record. Members that no
// method reads are ignored.
type object struct {
	path    string // of its members, "payer." for instance
	members map[string]any
	fault   *error
}

// parseBody decodes the body of a POST. It is stricter than encoding/json: a name that occurs
// twice, bytes after the object and invalid UTF-8 are errors.
func parseBody(header http.Header, body []byte) (*object, error) {
	mediaType, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	switch {
	case err != nil || mediaType != "application/json":
		return nil, invalidRequest("The Content-Type must be application/json.")
	case len(body) > bodyLimit:
		return nil, invalidRequest("The body must not be longer than %d bytes.", bodyLimit)
	case !utf8.Valid(body):
		return nil, invalidRequest("The body must be UTF-8.")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	value, err := parseValue(decoder)
	if err != nil {
		return nil, invalidRequest("The body must be one JSON object without repeated names.")
	}
	members, isObject := value.(map[string]any)
	if _, err := decoder.Token(); !isObject || !errors.Is(err, io.EOF) {
		return nil, invalidRequest("The body must be one JSON object without repeated names.")
	}
	return &object{members: members, fault: new(error)}, nil
}

// parseValue reads the next value. Arrays are skipped, since no request has one.
func parseValue(decoder *json.Decoder) (any, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		members := make(map[string]any)
		for decoder.More() {
			name, err := decoder.Token()
			if err != nil {
				return nil, err
			}
			if _, repeated := members[name.(string)]; repeated {
				return nil, errors.New("a name occurs twice")
			}
			if members[name.(string)], err = parseValue(decoder); err != nil {
				return nil, err
			}
		}
		_, err = decoder.Token()
		return members, err
	case json.Delim('['):
		for decoder.More() {
			if _, err := parseValue(decoder); err != nil {
				return nil, err
			}
		}
		return decoder.Token()
	default:
		return token, nil
	}
}

// err returns the refusal of the first invalid member, or nil.
func (o *object) err() error { return *o.fault }

func (o *object) reject(name, reason string) {
	if *o.fault == nil {
		*o.fault = invalidRequest("%s%s %s.", o.path, name, reason)
	}
}

func (o *object) has(name string) bool {
	_, present := o.members[name]
	return present
}

// object returns a member that must be an object. If it is not one, the result is empty.
func (o *object) object(name string) *object {
	members, isObject := o.members[name].(map[string]any)
	if !isObject {
		o.reject(name, "must be an object")
	}
	return &object{path: o.path + name + ".", members: members, fault: o.fault}
}

// text returns a required member, which must be a string that is not empty.
func (o *object) text(name string) string {
	text, isText := o.members[name].(string)
	if !isText || text == "" {
		o.reject(name, "must be a text that is not empty")
	}
	return text
}

// optionalText returns an optional member, which must be a string.
func (o *object) optionalText(name string) string {
	text, isText := o.members[name].(string)
	if o.has(name) && !isText {
		o.reject(name, "must be a text")
	}
	return text
}

// oneOf returns a member that must have one of the values.
func (o *object) oneOf(name string, values ...string) string {
	text := o.text(name)
	if !slices.Contains(values, text) {
		o.reject(name, "has a value that is not known")
	}
	return text
}

// optionalURL returns an optional member, which must be an absolute URL.
func (o *object) optionalURL(name string) string {
	text := o.optionalText(name)
	if o.has(name) && !isWebURL(text) {
		o.reject(name, "must be an absolute URL of http or https")
	}
	return text
}

func isWebURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != ""
}

// amount returns a required member, which must be a number of reais that is not below least.
func (o *object) amount(name string, least pix.Amount) pix.Amount {
	number, _ := o.members[name].(json.Number)
	amount, err := pix.ParseAmount(number.String())
	if err != nil || amount.Centavos() < least.Centavos() || amount.Centavos() > largestAmount {
		o.reject(name, "must be a number from "+least.String()+" to "+pix.Centavos(largestAmount).String()+
			" with at most two decimals")
	}
	return amount
}

// count returns an optional member, which must be a positive integer, or fallback if it is absent.
func (o *object) count(name string, fallback int) int {
	if !o.has(name) {
		return fallback
	}
	number, _ := o.members[name].(json.Number)
	count, err := strconv.Atoi(number.String())
	if err != nil || count < 1 {
		o.reject(name, "must be a positive integer")
	}
	return count
}

// document returns a required member, which must be a CPF or CNPJ of digits only.
func (o *object) document(name string) string {
	text := o.text(name)
	if !isDocument(text) {
		o.reject(name, "must be a CPF or a CNPJ, digits only")
	}
	return text
}
