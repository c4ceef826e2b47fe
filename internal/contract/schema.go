package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Body is a JSON body by the paths of its members: "" is the body itself, "payer.name" a member of
// a member, "banks[].ispb" a member of each element and "labels{}" a member of any name.
type Body map[string]Member

// Member is the description of one value by a schema.
type Member struct {
	// Type is the JSON type, several in alphabetical order with | between them, "" any. Null is
	// not among them.
	Type string `json:"type,omitzero"`

	// Nullable is true if the value may be null, Required if the object around it always has it.
	Nullable bool `json:"nullable,omitzero"`
	Required bool `json:"required,omitzero"`

	// Enum lists the allowed values, nil if any value is allowed.
	Enum []string `json:"enum,omitempty"`

	// Rules are the other keywords that constrain the value, by name, as JSON.
	Rules map[string]string `json:"rules,omitempty"`

	// Words are the keywords for people, as JSON. The formats of integers and numbers are among
	// them: JSON has one kind of number.
	Words string `json:"-"`

	// Go is the field of a type of ours, "CashIn.PaidAt", and Owner the type it is in. Both are
	// empty for a description.
	Go    string `json:"-"`
	Owner string `json:"-"`
}

const (
	maxMembers = 400_000 // of all bodies of a description together
	maxDepth   = 40      // of nesting in a body
)

// flattener flattens schemas to bodies. Its fault is the first error.
type flattener struct {
	left  int
	fault error
}

// flatten returns the body of a schema, nil if the schema is.
func (f *flattener) flatten(schema *openapi3.SchemaRef) Body {
	if schema == nil {
		return nil
	}
	body := Body{}
	f.add(body, "", []*openapi3.SchemaRef{schema}, false, nil)
	return body
}

// add adds the value at a path that several schemas describe together. Holders are the schemas
// around it.
func (f *flattener) add(body Body, path string, schemas []*openapi3.SchemaRef, required bool, holders []*openapi3.Schema) {
	if f.left--; f.left < 0 || len(holders) > maxDepth {
		f.fail(fmt.Errorf("the bodies of the operations have more members than any description of this API would"))
		return
	}
	merged, inside := view{}, holders
	for _, schema := range schemas {
		if schema == nil || schema.Value == nil {
			continue
		}
		if slices.Contains(holders, schema.Value) {
			f.fail(errRecursive)
			return
		}
		merged = merged.and(f.view(schema, nil))
		inside = append(slices.Clone(inside), schema.Value)
	}
	body[path] = merged.member(required)
	if len(merged.items) > 0 {
		f.add(body, path+"[]", merged.items, true, inside)
	}
	if len(merged.others) > 0 {
		f.add(body, path+"{}", merged.others, false, inside)
	}
	for _, name := range slices.Sorted(maps.Keys(merged.properties)) {
		at := name
		if path != "" {
			at = path + "." + name
		}
		property := merged.properties[name]
		f.add(body, at, property.schemas, property.required, inside)
	}
}

func (f *flattener) fail(err error) {
	if f.fault == nil {
		f.fault = err
	}
}

// view is a schema merged with its parts.
type view struct {
	types      []string // nil any
	nullable   bool
	enum       []string // nil any
	rules      map[string]string
	words      string
	items      []*openapi3.SchemaRef
	others     []*openapi3.SchemaRef // members of any other name
	properties map[string]property
}

type property struct {
	schemas  []*openapi3.SchemaRef
	required bool
}

// view merges a schema with its parts. Within are the schemas that it is a part of.
func (f *flattener) view(reference *openapi3.SchemaRef, within []*openapi3.Schema) view {
	schema := reference.Value
	if f.left--; f.left < 0 || schema == nil || slices.Contains(within, schema) {
		f.fail(errRecursive)
		return view{}
	}
	within = append(slices.Clone(within), schema)
	composed := f.own(schema, within)
	for _, part := range schema.AllOf {
		composed = composed.and(f.view(part, within))
	}
	for _, choice := range []openapi3.SchemaRefs{schema.OneOf, schema.AnyOf} {
		var either *view
		for _, part := range choice {
			one := f.view(part, within)
			switch {
			case isNull(one):
				composed.nullable = true
			case either == nil:
				either = &one
			default:
				*either = either.or(one)
			}
		}
		if either != nil {
			composed = composed.and(*either)
		}
	}
	return composed
}

func isNull(v view) bool { return v.nullable && v.types != nil && len(v.types) == 0 }

// own returns a schema without its parts.
func (f *flattener) own(schema *openapi3.Schema, within []*openapi3.Schema) view {
	v := view{nullable: schema.Nullable, properties: map[string]property{}}
	if schema.Type != nil {
		v.types = []string{}
		for _, name := range *schema.Type {
			if name == openapi3.TypeNull {
				v.nullable = true
			} else {
				v.types = append(v.types, name)
			}
		}
		slices.Sort(v.types)
	}
	values := schema.Enum
	if schema.Const != nil {
		values = []any{schema.Const}
	}
	for _, value := range values {
		if value == nil {
			v.nullable = true
			continue
		}
		v.enum = append(v.enum, fmt.Sprint(value))
	}
	slices.Sort(v.enum)
	if schema.Items != nil {
		v.items = openapi3.SchemaRefs{schema.Items}
	}
	if others := schema.AdditionalProperties.Schema; others != nil {
		v.others = openapi3.SchemaRefs{others}
	}
	for name, schema := range schema.Properties {
		v.properties[name] = property{schemas: openapi3.SchemaRefs{schema}}
	}
	for _, name := range schema.Required {
		p := v.properties[name]
		p.required = true
		v.properties[name] = p
	}
	v.rules, v.words = keywords(schema)
	parts := partsOf(schema)
	for _, name := range sortedKeys(parts) {
		if parts[name] != nil {
			rule, words := f.rule(parts[name], within)
			v.rules = joined(v.rules, map[string]string{name: rule})
			v.words += words
		}
	}
	return v
}

// partsOf are the schemas in a schema that are neither of its members nor of its elements, by
// keyword. Some are nil.
func partsOf(schema *openapi3.Schema) map[string]*openapi3.SchemaRef {
	parts := map[string]*openapi3.SchemaRef{
		"not": schema.Not, "if": schema.If, "then": schema.Then, "else": schema.Else,
		"contains": schema.Contains, "propertyNames": schema.PropertyNames, "contentSchema": schema.ContentSchema,
		"unevaluatedItems":      schema.UnevaluatedItems.Schema,
		"unevaluatedProperties": schema.UnevaluatedProperties.Schema,
	}
	for i, part := range schema.PrefixItems {
		parts[fmt.Sprintf("prefixItems %d", i)] = part
	}
	for pattern, part := range schema.PatternProperties {
		parts["patternProperties "+pattern] = part
	}
	for name, part := range schema.DependentSchemas {
		parts["dependentSchemas "+name] = part
	}
	return parts
}

// rule writes a schema as a rule, with the words in it apart.
func (f *flattener) rule(schema *openapi3.SchemaRef, within []*openapi3.Schema) (rule, words string) {
	body := Body{}
	f.add(body, "", []*openapi3.SchemaRef{schema}, false, within)
	for _, path := range sortedKeys(body) {
		words += body[path].Words
	}
	text, _ := json.Marshal(body)
	return string(text), words
}

// keywords returns the keywords of a schema beside its parts: rules for machines and words for
// people.
func keywords(schema *openapi3.Schema) (rules map[string]string, words string) {
	if schema.Always != nil && !*schema.Always {
		return map[string]string{"never": "true"}, ""
	}
	alone := *schema
	alone.AllOf, alone.OneOf, alone.AnyOf, alone.Properties, alone.Items, alone.Defs = nil, nil, nil, nil, nil, nil
	text, err := json.Marshal(&alone)
	var all map[string]json.RawMessage
	if err != nil || json.Unmarshal(text, &all) != nil {
		return nil, ""
	}
	for _, name := range []string{"type", "enum", "const", "nullable", "required"} {
		delete(all, name)
	}
	for name, part := range partsOf(schema) {
		if keyword, _, _ := strings.Cut(name, " "); part != nil {
			delete(all, keyword)
		}
	}
	if string(all["additionalProperties"]) != "false" { // a schema is read, and true is the default
		delete(all, "additionalProperties")
	}
	isNumber := schema.Type.Includes(openapi3.TypeInteger) || schema.Type.Includes(openapi3.TypeNumber)
	spoken := map[string]json.RawMessage{}
	for name, value := range all {
		switch name {
		case "title", "description", "example", "examples", "externalDocs", "deprecated", "discriminator", "xml":
			spoken[name] = value
		default:
			if strings.HasPrefix(name, "x-") || strings.HasPrefix(name, "$") || name == "format" && isNumber {
				spoken[name] = value
				continue
			}
			if rules == nil {
				rules = map[string]string{}
			}
			rules[name] = string(value)
		}
	}
	if len(spoken) > 0 {
		text, _ := json.Marshal(spoken)
		words = string(text)
	}
	return rules, words
}

// and returns the view of a value that both schemas describe.
func (v view) and(other view) view {
	switch {
	case v.types == nil:
		v.types = other.types
	case len(other.types) > 0:
		v.types = commonTypes(v.types, other.types)
	}
	if v.enum == nil {
		v.enum = other.enum
	} else if other.enum != nil {
		v.enum = common(v.enum, other.enum)
	}
	v.nullable = v.nullable || other.nullable
	v.rules = combined(v.rules, other.rules, " and ")
	v.words += other.words
	v.items = slices.Concat(v.items, other.items)
	v.others = slices.Concat(v.others, other.others)
	all := maps.Clone(v.properties)
	if all == nil {
		all = map[string]property{}
	}
	for name, p := range other.properties {
		all[name] = property{slices.Concat(all[name].schemas, p.schemas), all[name].required || p.required}
	}
	v.properties = all
	return v
}

// or returns the view of a value that one of the two schemas describes.
func (v view) or(other view) view {
	if v.types != nil && other.types != nil {
		v.types = united(v.types, other.types)
	} else {
		v.types = nil
	}
	if v.enum != nil && other.enum != nil {
		v.enum = united(v.enum, other.enum)
	} else {
		v.enum = nil
	}
	v.nullable = v.nullable || other.nullable
	v.rules = combined(v.rules, other.rules, " or ")
	v.words += other.words
	v.items = alternatives(v.items, other.items)
	v.others = alternatives(v.others, other.others)
	all := map[string]property{}
	for name := range joined(v.properties, other.properties) {
		mine, theirs := v.properties[name], other.properties[name]
		all[name] = property{alternatives(mine.schemas, theirs.schemas), mine.required && theirs.required}
	}
	v.properties = all
	return v
}

// alternatives returns a schema that is one of two.
func alternatives(one, other openapi3.SchemaRefs) openapi3.SchemaRefs {
	if len(one) == 0 || len(other) == 0 {
		return slices.Concat(one, other)
	}
	all := func(parts openapi3.SchemaRefs) *openapi3.SchemaRef {
		if len(parts) == 1 {
			return parts[0]
		}
		return openapi3.NewSchemaRef("", &openapi3.Schema{AllOf: parts})
	}
	first, second := all(one), all(other)
	if first.Value == second.Value {
		return openapi3.SchemaRefs{first}
	}
	return openapi3.SchemaRefs{openapi3.NewSchemaRef("", &openapi3.Schema{AnyOf: openapi3.SchemaRefs{first, second}})}
}

func joined[V any](one, other map[string]V) map[string]V {
	all := maps.Clone(one)
	if all == nil {
		return other
	}
	maps.Copy(all, other)
	return all
}

// combined merges the rules of two schemas. Where they differ it lists both.
func combined(one, other map[string]string, word string) map[string]string {
	all := joined(one, other)
	for name, rule := range one {
		if theirs, found := other[name]; found && theirs != rule {
			all[name] = strings.Join(united(strings.Split(rule, word), strings.Split(theirs, word)), word)
		}
	}
	return all
}

func common(one, other []string) []string {
	return slices.DeleteFunc(slices.Clone(one), func(text string) bool { return !slices.Contains(other, text) })
}

// commonTypes returns the types that both allow. Every integer is a number.
func commonTypes(one, other []string) []string {
	both := common(one, other)
	for _, pair := range [][2][]string{{one, other}, {other, one}} {
		if slices.Contains(pair[0], openapi3.TypeInteger) && slices.Contains(pair[1], openapi3.TypeNumber) {
			both = append(both, openapi3.TypeInteger)
		}
	}
	slices.Sort(both)
	return slices.Compact(both)
}

func united(one, other []string) []string {
	all := slices.Concat(one, other)
	slices.Sort(all)
	return slices.Compact(all)
}

func (v view) member(required bool) Member {
	types := v.types
	if types == nil {
		switch {
		case len(v.properties) > 0:
			types = []string{openapi3.TypeObject}
		case len(v.items) > 0:
			types = []string{openapi3.TypeArray}
		case v.enum != nil:
			types = []string{openapi3.TypeString}
		}
	}
	return Member{
		Type: strings.Join(types, "|"), Nullable: v.nullable, Required: required,
		Enum: v.enum, Rules: v.rules, Words: v.words,
	}
}

func canonicalHeader(name string) string { return http.CanonicalHeaderKey(name) }
