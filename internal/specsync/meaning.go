package main

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// meaning is the description with all references resolved and the names of its schemas left out, to be compared.
func (d *document) meaning() (map[string]any, error) {
	var root map[string]any
	if err := d.root.Decode(&root); err != nil {
		return nil, err
	}
	resolved, err := (&resolver{root, mostNodes}).resolve(root, 0)
	if err != nil {
		return nil, err
	}
	meaning := resolved.(map[string]any)
	if components, ok := meaning["components"].(map[string]any); ok {
		delete(components, "schemas")
		if len(components) == 0 {
			delete(meaning, "components")
		}
	}
	return meaning, nil
}

// mostNesting is deeper than any description of this API. A schema that holds itself is deeper.
const mostNesting = 60

// resolver follows the references of a description.
type resolver struct {
	root map[string]any
	left int // how many values more may come of it
}

func (r *resolver) resolve(value any, depth int) (any, error) {
	if r.left--; r.left < 0 {
		return nil, errTooMuch
	}
	if depth > mostNesting {
		return nil, errors.New("a schema holds itself, which the SDK's types cannot")
	}
	switch value := value.(type) {
	case []any:
		all := make([]any, len(value))
		for i := range value {
			var err error
			if all[i], err = r.resolve(value[i], depth+1); err != nil {
				return nil, err
			}
		}
		return all, nil
	case map[string]any:
		all := map[string]any{}
		if reference, ok := value["$ref"].(string); ok && strings.HasPrefix(reference, "#/") {
			resolved, err := r.resolve(target(r.root, reference), depth+1)
			if err != nil {
				return nil, err
			}
			members, _ := resolved.(map[string]any)
			maps.Copy(all, members)
		}
		for name, member := range value { // those beside a $ref count for more than what it leads to
			if _, isText := member.(string); isText && name == "$ref" {
				continue
			}
			resolved, err := r.resolve(member, depth+1)
			if err != nil {
				return nil, err
			}
			all[name] = resolved
		}
		return all, nil
	default:
		return value, nil
	}
}

func target(root map[string]any, reference string) any {
	found := any(root)
	for part := range strings.SplitSeq(strings.TrimPrefix(reference, "#/"), "/") {
		members, _ := found.(map[string]any)
		found = members[unescape(part)]
	}
	return found
}

// sameMeaning reports an error if two descriptions do not mean the same.
func sameMeaning(one, other *document) error {
	first, err := one.meaning()
	if err != nil {
		return err
	}
	second, err := other.meaning()
	if err != nil {
		return err
	}
	forgetNames(first)
	forgetNames(second)
	if !reflect.DeepEqual(first, second) {
		return errors.New("writing it down anew would change its meaning, which is a fault of internal/specsync")
	}
	return nil
}

// forgetNames takes out of a meaning what nameOperations may change: the ids of operations, and the names of parameters in paths.
func forgetNames(meaning map[string]any) {
	paths, _ := meaning["paths"].(map[string]any)
	for path, item := range maps.Clone(paths) {
		delete(paths, path)
		paths[anonymous(path)] = item
		holders, _ := item.(map[string]any)
		forget := func(holder any) {
			members, _ := holder.(map[string]any)
			delete(members, "operationId")
			parameters, _ := members["parameters"].([]any)
			for _, parameter := range parameters {
				if declared, _ := parameter.(map[string]any); declared["in"] == "path" {
					declared["name"] = strings.Index(path, fmt.Sprintf("{%v}", declared["name"]))
				}
			}
		}
		forget(item)
		for _, holder := range holders {
			forget(holder)
		}
	}
}

// difference is what two descriptions say otherwise of one operation: in words, or in what traffic shows.
type difference struct{ words, structure []string }

// differences compares two descriptions value by value, and lists the places that differ by operation. Operations that only
// one of them has are left out: they need no second look.
func differences(older, newer *document) (map[string]*difference, error) {
	var leaves [2]map[string]map[string]leaf
	for i, d := range []*document{older, newer} {
		meaning, err := d.meaning()
		if err != nil {
			return nil, err
		}
		leaves[i] = operationLeaves(meaning)
	}
	found := map[string]*difference{}
	for operation, before := range leaves[0] {
		after, both := leaves[1][operation]
		if !both {
			continue
		}
		d := &difference{}
		places := slices.Sorted(maps.Keys(before))
		for place := range after {
			if _, known := before[place]; !known {
				places = append(places, place)
			}
		}
		for _, place := range places {
			one, other := before[place], after[place]
			switch {
			case one.text == other.text || place == "info.version":
			case one.words || other.words:
				if hasOwner(before, place) && hasOwner(after, place) { // else they came or went with what they describe
					d.words = append(d.words, place)
				}
			default:
				d.structure = append(d.structure, place)
			}
		}
		if len(d.words)+len(d.structure) > 0 {
			found[operation] = d
		}
	}
	return found, nil
}

// hasOwner reports whether there is what the words at a place describe.
func hasOwner(leaves map[string]leaf, place string) bool {
	owner := place[:strings.LastIndexByte(place, '.')+1]
	for other := range leaves {
		if strings.HasPrefix(other, owner) {
			return true
		}
	}
	return false
}

// leaf is a value in a description that holds no others.
type leaf struct {
	text  string
	words bool // for people: traffic does not show it
}

// whole is the operation under which that is kept which belongs to none.
const whole = "the description"

func operationLeaves(meaning map[string]any) map[string]map[string]leaf {
	all := map[string]map[string]leaf{whole: {}}
	for name, value := range meaning {
		switch name {
		case "paths":
			paths, _ := value.(map[string]any)
			for path, item := range paths {
				members, _ := item.(map[string]any)
				for method, operation := range members {
					leaves := map[string]leaf{}
					addLeaves(leaves, "", "", operation, false)
					all[strings.ToUpper(method)+" "+path] = leaves
				}
			}
		case "components", "openapi", "webhooks": // seen where they are used; webhooks where exposeEvents shows them
		default:
			addLeaves(all[whole], name, name, value, name != "servers" && name != "security")
		}
	}
	return all
}

// wordy are the members that are for people, unless they are names that the API chose.
var wordy = []string{"description", "summary", "title", "example", "examples", "externalDocs", "tags", "deprecated"}

// named are the members whose own members have names that the API chose.
var named = []string{"properties", "patternProperties", "responses", "content", "headers", "callbacks", "mapping"}

func addLeaves(leaves map[string]leaf, place, parent string, value any, isWords bool) {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			own := isWords || !slices.Contains(named, parent) && (slices.Contains(wordy, name) || strings.HasPrefix(name, "x-"))
			addLeaves(leaves, strings.TrimPrefix(place+"."+name, "."), name, member, own)
		}
	case []any:
		for i, element := range value {
			addLeaves(leaves, fmt.Sprintf("%s[%s]", place, label(element, i)), "", element, isWords)
		}
	default:
		leaves[place] = leaf{fmt.Sprint(value), isWords}
	}
}

// label names an element of a list by what it is rather than where it stands, so that one more moves no others.
func label(element any, i int) string {
	switch element := element.(type) {
	case string:
		return element
	case map[string]any:
		if name, ok := element["name"].(string); ok {
			return name
		}
	}
	return fmt.Sprint(i)
}
