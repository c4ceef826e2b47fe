package answer

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"unicode/utf8"
)

// maxDepth is how deep objects and arrays may be nested in a plain object.
const maxDepth = 32

// Plain decodes a JSON object into the struct that into points to, which must be zero, if nothing
// about the object is odd. It then has the result of json.Unmarshal, in a third of the time.
// Otherwise it returns false, the contents of the struct are undefined, and the caller must call
// json.Unmarshal, which decides what is an error. UnmarshalJSON of a field gets a subslice of body,
// and may keep it as long as body does not change.
//
// Odd is anything that is not JSON or does not fit its field. Odd is also anything that
// encoding/json resolves without an error: text that is not UTF-8, and two members of one object,
// at any depth, whose names are equal or differ in case only. And odd are forms that are too rare
// to be worth the code: names that are not ASCII or have escapes, deep nesting, many unknown
// members.
func Plain(body []byte, into any) bool {
	r := reader{data: body}
	r.space()
	if !r.nested(reflect.ValueOf(into).Elem(), 0) {
		return false
	}
	r.space()
	return r.at == len(r.data)
}

// shape describes how to decode a struct.
type shape struct{ fields []field }

type field struct {
	name []byte // of the member
	at   int    // number of the field in its struct
	kind kind
}

type kind uint8

const (
	text     kind = iota // a string
	nested               // a struct
	pointer              // a pointer to a struct
	itself               // has an UnmarshalJSON method
	anything             // is left to encoding/json
)

var shapes sync.Map // from reflect.Type to *shape, nil if such a struct is left to encoding/json

func shapeOf(t reflect.Type) *shape {
	known, ok := shapes.Load(t)
	if !ok {
		known, _ = shapes.LoadOrStore(t, newShape(t))
	}
	return known.(*shape)
}

func newShape(t reflect.Type) *shape {
	fields := make([]field, 0, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || f.Anonymous || name == "" || name == "-" || !isASCII(name) || strings.Contains(options, "string") ||
			find(fields, []byte(name)) >= 0 || alike(fields, []byte(name)) {
			return nil
		}
		fields = append(fields, field{name: []byte(name), at: i, kind: kindOf(f.Type)})
	}
	if len(fields) > 64 { // the number of bits that record which fields were seen
		return nil
	}
	return &shape{fields}
}

func kindOf(t reflect.Type) kind {
	itReads := func(how reflect.Type, t reflect.Type) bool { return reflect.PointerTo(t).Implements(how) }
	ownReader, textReader := reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]()
	isStruct := func(t reflect.Type) bool {
		return t.Kind() == reflect.Struct && !itReads(ownReader, t) && !itReads(textReader, t)
	}
	switch {
	case t.Kind() != reflect.Pointer && itReads(ownReader, t):
		return itself
	case t.Kind() == reflect.String && !itReads(textReader, t) && t != reflect.TypeFor[json.Number]():
		return text
	case isStruct(t):
		return nested
	case t.Kind() == reflect.Pointer && isStruct(t.Elem()):
		return pointer
	}
	return anything
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}

func find(fields []field, name []byte) int {
	for i := range fields {
		if string(fields[i].name) == string(name) {
			return i
		}
	}
	return -1
}

// alike reports whether a field has the name, regardless of case. Both are ASCII.
func alike(fields []field, name []byte) bool {
	for i := range fields {
		if len(fields[i].name) == len(name) && bytes.EqualFold(fields[i].name, name) {
			return true
		}
	}
	return false
}

// reader scans a body once. Each method reports whether it found its value, and moves past it.
type reader struct {
	data  []byte
	at    int
	texts strings.Builder // the shared memory of short texts
}

func (r *reader) space() {
	for r.at < len(r.data) {
		switch r.data[r.at] {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return
		}
	}
}

func (r *reader) take(c byte) bool {
	if r.at == len(r.data) || r.data[r.at] != c {
		return false
	}
	r.at++
	return true
}

func (r *reader) literal(word string) bool {
	if len(r.data)-r.at < len(word) || string(r.data[r.at:r.at+len(word)]) != word {
		return false
	}
	r.at += len(word)
	return true
}

func (r *reader) nested(into reflect.Value, depth int) bool {
	shape := shapeOf(into.Type())
	return shape != nil && r.object(into, shape.fields, depth)
}

// object decodes an object into a struct. Without fields it only checks that the object is plain.
func (r *reader) object(into reflect.Value, fields []field, depth int) bool {
	if depth == maxDepth || !r.take('{') {
		return false
	}
	r.space()
	if r.take('}') {
		return true
	}
	var seen uint64
	var others [16][]byte
	unknown := 0
	for {
		r.space()
		name, plain := r.name()
		if !plain {
			return false
		}
		if i := find(fields, name); i >= 0 {
			if seen&(1<<i) != 0 || !r.field(into, &fields[i], depth) {
				return false
			}
			seen |= 1 << i
		} else {
			if unknown == len(others) || alike(fields, name) {
				return false
			}
			for _, other := range others[:unknown] {
				if len(other) == len(name) && bytes.EqualFold(other, name) {
					return false
				}
			}
			others[unknown] = name
			unknown++
			if !r.skip(depth + 1) {
				return false
			}
		}
		r.space()
		if !r.take(',') {
			return r.take('}')
		}
	}
}

// name reads the name of a member, the colon and the space around it.
func (r *reader) name() ([]byte, bool) {
	name, class := r.text()
	if class != ascii {
		return nil, false
	}
	r.space()
	if !r.take(':') {
		return nil, false
	}
	r.space()
	return name, true
}

// field decodes the value of a member into its field of a struct.
func (r *reader) field(into reflect.Value, f *field, depth int) bool {
	into = into.Field(f.at)
	switch f.kind {
	case itself, anything:
		begin := r.at
		if !r.skip(depth + 1) {
			return false
		}
		token := r.data[begin:r.at]
		if f.kind == itself {
			return into.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(token) == nil
		}
		return json.Unmarshal(token, into.Addr().Interface()) == nil
	}
	if r.literal("null") {
		return true // the field stays zero
	}
	switch f.kind {
	case pointer:
		into.Set(reflect.New(into.Type().Elem()))
		return r.nested(into.Elem(), depth+1)
	case nested:
		return r.nested(into, depth+1)
	default:
		begin := r.at
		content, class := r.text()
		switch class {
		case broken:
			return false
		case escaped:
			return json.Unmarshal(r.data[begin:r.at], into.Addr().Interface()) == nil
		}
		into.SetString(r.keep(content))
		return true
	}
}

// keep returns a copy of a text. Short texts share memory, so that a response costs a few
// allocations and not dozens. A long text, such as an image, has its own, so that an id that the
// caller keeps does not keep the image in memory.
func (r *reader) keep(content []byte) string {
	const longText, piece = 64, 256
	if len(content) > longText {
		return string(content)
	}
	if r.texts.Cap()-r.texts.Len() < len(content) {
		r.texts.Reset()
		r.texts.Grow(min(max(len(r.data)/2, len(content)), piece))
	}
	begin := r.texts.Len()
	r.texts.Write(content)
	return r.texts.String()[begin:]
}

// skip reads any value.
func (r *reader) skip(depth int) bool {
	if r.at == len(r.data) {
		return false
	}
	switch c := r.data[r.at]; c {
	case '{':
		return r.object(reflect.Value{}, nil, depth)
	case '[':
		return r.array(depth)
	case '"':
		begin := r.at
		_, class := r.text()
		return class != broken && (class != escaped || json.Valid(r.data[begin:r.at]))
	case 'n':
		return r.literal("null")
	case 't':
		return r.literal("true")
	case 'f':
		return r.literal("false")
	default:
		return r.number()
	}
}

func (r *reader) array(depth int) bool {
	if depth == maxDepth || !r.take('[') {
		return false
	}
	r.space()
	if r.take(']') {
		return true
	}
	for {
		r.space()
		if !r.skip(depth + 1) {
			return false
		}
		r.space()
		if !r.take(',') {
			return r.take(']')
		}
	}
}

func (r *reader) number() bool {
	r.take('-')
	if !r.take('0') && !r.digits() {
		return false
	}
	if r.take('.') && !r.digits() {
		return false
	}
	if r.take('e') || r.take('E') {
		_ = r.take('+') || r.take('-')
		return r.digits()
	}
	return true
}

func (r *reader) digits() bool {
	begin := r.at
	for r.at < len(r.data) && '0' <= r.data[r.at] && r.data[r.at] <= '9' {
		r.at++
	}
	return r.at > begin
}

// class describes the contents of a text.
type class uint8

const (
	broken  class = iota // not a text
	ascii                // ASCII without escapes
	unicode              // not only ASCII, without escapes
	escaped              // with escapes, which may be invalid
)

// text reads a text, and returns the bytes between its quotes.
func (r *reader) text() ([]byte, class) {
	if !r.take('"') {
		return nil, broken
	}
	class := ascii
	begin := r.at
	for {
		length := bytes.IndexByte(r.data[r.at:], '"')
		if length < 0 {
			return nil, broken
		}
		// A quote ends the text unless an odd number of backslashes before it escape it.
		end := r.at + length
		r.at = end + 1
		slashes := 0
		for r.data[end-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			break
		}
	}
	content := r.data[begin : r.at-1]
	if !isPlainASCII(content) {
		for _, c := range content {
			if c < ' ' {
				return nil, broken
			}
		}
		if !utf8.Valid(content) {
			return nil, broken
		}
		class = unicode
	}
	if bytes.IndexByte(content, '\\') >= 0 {
		class = escaped
	}
	return content, class
}

// isPlainASCII reports whether all characters are from space to 0x7f, eight at a time.
func isPlainASCII(content []byte) bool {
	const high, spaces = 0x8080808080808080, 0x2020202020202020
	for ; len(content) >= 8; content = content[8:] {
		eight := binary.LittleEndian.Uint64(content)
		// A byte below a space has its highest bit set after the subtraction, and a byte beyond
		// ASCII has it set anyway.
		if (eight|(eight-spaces))&high != 0 {
			return false
		}
	}
	for _, c := range content {
		if c < ' ' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
