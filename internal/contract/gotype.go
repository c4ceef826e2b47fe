package contract

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/connectpsp/connectpsp-go/pix"
)

const modulePath = "github.com/connectpsp/connectpsp-go"

// ownBody returns the body that a value of one of our types is encoded as. The error comes from
// reading the source of the type's constants.
func ownBody(value any) (Body, error) {
	r := &reflected{body: Body{}}
	r.add("", reflect.TypeOf(value), Member{Required: true})
	return r.body, r.fault
}

type reflected struct {
	body  Body
	fault error
}

func (r *reflected) add(path string, t reflect.Type, member Member) {
	switch {
	case t == reflect.TypeFor[pix.Amount]():
		member.Type = "number"
	case t == reflect.TypeFor[pix.Time](), t.Kind() == reflect.String, t.String() == "time.Time":
		member.Type = "string"
	case t.Kind() == reflect.Int:
		member.Type = "integer"
	case t.Kind() == reflect.Bool:
		member.Type = "boolean"
	case t.Kind() == reflect.Pointer:
		r.add(path, t.Elem(), member)
		return
	case t.Kind() == reflect.Slice:
		member.Type = "array"
		r.add(path+"[]", t.Elem(), Member{Required: true, Go: member.Go, Owner: t.Elem().Name()})
	case t.Kind() == reflect.Struct:
		member.Type, member.Owner = "object", t.Name()
		for field := range t.Fields() {
			name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			at := name
			if path != "" {
				at = path + "." + name
			}
			r.add(at, field.Type, Member{Required: options == "", Go: t.Name() + "." + field.Name})
		}
	}
	if t.Kind() == reflect.String && t.PkgPath() != "" {
		values, err := constants(t)
		if err != nil {
			r.fault = err
		}
		member.Enum, member.Owner = values, t.Name()
	}
	r.body[path] = member
}

// constants returns the values of the constants of a string type, nil if it has none.
func constants(t reflect.Type) (values []string, err error) {
	directory, err := root()
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(directory, strings.TrimPrefix(t.PkgPath(), modulePath), "*.go"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			spec, isValue := node.(*ast.ValueSpec)
			if !isValue {
				return true
			}
			if named, isName := spec.Type.(*ast.Ident); isName && named.Name == t.Name() {
				for _, value := range spec.Values {
					if literal, isLiteral := value.(*ast.BasicLit); isLiteral {
						text, _ := strconv.Unquote(literal.Value)
						values = append(values, text)
					}
				}
			}
			return true
		})
	}
	slices.Sort(values)
	return values, nil
}
