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

// Plain reads a JSON object into the struct that into points to, which must be zero, if nothing about the object is odd. It
// then does what json.Unmarshal does, in a third of the time. Else it returns false, the struct holds anything, and
// json.Unmarshal has to be asked: it is the judge of what is odd. UnmarshalJSON of a field is given a part of body, and may keep
// that as long as body stays as it is.
//
// Odd is what is not JSON, and what does not fit its field. But also what encoding/json settles in silence: text that is not
// UTF-8, and two members of one object whose names are equal or differ in case only, wherever they are. And what is too rare
// to be worth the code: names that are not ASCII or have escapes, deep nesting, many unknown members.
func Plain(body []byte, into any) bool {
	r := reader{data: body}
	r.space()
	if !r.nested(reflect.ValueOf(into).Elem(), 0) {
		return false
	}
	r.space()
	return r.at == len(r.data)
}

// shape says how to read a struct.
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
	itself               // reads itself, by UnmarshalJSON
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
	if len(fields) > 64 { // as many as there are bits to note them in
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

// alike reports whether a field has the name but for its case. Both are ASCII.
func alike(fields []field, name []byte) bool {
	for i := range fields {
		if len(fields[i].name) == len(name) && bytes.EqualFold(fields[i].name, name) {
			return true
		}
	}
	return false
}

// reader goes through a body once. Its methods report whether they found what they read, and leave the place behind it.
type reader struct {
	data  []byte
	at    int
	texts strings.Builder // holds short texts together
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

// object reads an object into a struct. Without fields it only looks whether it is plain.
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

// field reads the value of a member into its field of a struct.
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

// keep returns a text of its own. Short ones share memory, so that an answer is a few pieces of memory and not dozens; a long
// one, such as an image, does not, so that it is not held by an id that is kept.
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

// class says what is in a text.
type class uint8

const (
	broken  class = iota // it is no text
	ascii                // only that, and no escapes
	unicode              // some of it is not ASCII; no escapes
	escaped              // there may be any escapes, also wrong ones
)

// text reads a text and returns what stands between its quotes, as it stands there.
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
		// A quote ends the text unless it is escaped, and it is if an odd number of backslashes precede it.
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
		// Less a space, what is below it has the highest bit, as what is not ASCII has anyhow.
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
