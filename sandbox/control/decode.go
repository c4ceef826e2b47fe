package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// member is a member of a JSON object, as a field of a struct has it.
type member struct {
	name     string
	index    []int
	required bool
}

// membersOf returns the members of the object that encoding/json makes of a struct.
func membersOf(t reflect.Type) (members []member) {
	for _, field := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			members = append(members, member{name, field.Index, !strings.Contains(options, "omitzero")})
		}
	}
	return members
}

// decode decodes a body into what body points to. An empty body is an empty object. It is stricter
// than encoding/json, because a test that means something else must not pass: a member that is
// unknown, missing, null, repeated or a number in quotes is an error. The error wraps
// [sandbox.ErrInvalid].
func decode(data []byte, body any) error {
	target := reflect.ValueOf(body).Elem()
	if raw, isRaw := body.(*json.RawMessage); isRaw {
		*raw = data
		return nil
	}
	if len(bytes.TrimSpace(data)) == 0 {
		data = []byte("{}")
	}
	if !utf8.Valid(data) {
		return invalid("the body must be UTF-8")
	}
	return decodeObject(data, target, "")
}

// decodeObject decodes the object at a path, which is empty for that of the body.
func decodeObject(data []byte, target reflect.Value, path string) error {
	name := strings.TrimSuffix(path, ".")
	if name == "" {
		name = "the body"
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if begin, err := decoder.Token(); err != nil || begin != json.Delim('{') {
		return invalid("%s must be a JSON object", name)
	}
	members := membersOf(target.Type())
	var seen []string
	for decoder.More() {
		token, err := decoder.Token()
		key, isKey := token.(string)
		var value json.RawMessage
		if err == nil {
			err = decoder.Decode(&value)
		}
		if err != nil || !isKey {
			return invalid("%s must be one JSON object", name)
		}
		n := slices.IndexFunc(members, func(m member) bool { return m.name == key })
		switch {
		case n < 0:
			return invalid("there is no member %q: %s", path+key, listed(members))
		case slices.Contains(seen, key):
			return invalid("%q occurs twice", path+key)
		case string(value) == "null":
			return invalid("%q must not be null: leave it out", path+key)
		}
		seen = append(seen, key)
		if err := decodeMember(value, target.FieldByIndex(members[n].index), path+key); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return invalid("%s must be one JSON object", name)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return invalid("%s must be one JSON object, with nothing after it", name)
	}
	for _, m := range members {
		if m.required && !slices.Contains(seen, m.name) {
			return invalid("%q is missing: %s", path+m.name, listed(members))
		}
	}
	return nil
}

// decodeMember decodes the value at a path.
func decodeMember(value json.RawMessage, target reflect.Value, path string) error {
	kind := target.Type()
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
		target.Set(reflect.New(kind))
		target = target.Elem()
	}
	isAmount := kind == reflect.TypeFor[pix.Amount]()
	if kind.Kind() == reflect.Struct && !isAmount {
		return decodeObject(value, target, path+".")
	}
	err := json.Unmarshal(value, target.Addr().Interface())
	switch {
	case errors.Is(err, sandbox.ErrInvalid):
		return err
	case err != nil || isAmount && value[0] == '"':
		return invalid("%q must be %s", path, wanted(kind))
	}
	return nil
}

// wanted describes the values of a type.
func wanted(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[pix.Amount]():
		return "a number of reais with at most two decimals, such as 12.34"
	case t == reflect.TypeFor[sandbox.Fault](), t.Kind() == reflect.String:
		return "a text"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Float64:
		return "a number"
	case t.Kind() == reflect.Slice:
		return "an array of texts"
	default:
		return "an integer that is not too large"
	}
}

func listed(members []member) string {
	if len(members) == 0 {
		return "this resource takes none"
	}
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = m.name
	}
	return "the members are " + strings.Join(names, ", ")
}

func invalid(format string, arguments ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{sandbox.ErrInvalid}, arguments...)...)
}
