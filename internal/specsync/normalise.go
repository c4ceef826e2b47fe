package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/connectpsp/connectpsp-go/internal/api"
	"github.com/connectpsp/connectpsp-go/internal/contract"
)

// normalise changes a description to the form in which the SDK keeps it. Its meaning for traffic
// does not change.
func (d *document) normalise() {
	d.dropGeneratorExtensions(d.root)
	d.writeOutReferences()
	d.nameSchemas()
	d.cutSlashes()
	d.cutPrefix()
	d.nameOperations()
}

// generatorExtensions configure the Go that the generator writes, which is the task of
// openapi/overlay.yaml.
var generatorExtensions = regexp.MustCompile(`^x-(go-.*|oapi-codegen-.*|enum-varnames|enumNames|enum-names|omitempty|omitzero|order|deprecated-reason)$`)

func (d *document) dropGeneratorExtensions(node *yaml.Node) {
	if node.Kind == yaml.MappingNode {
		for _, name := range keys(node) {
			if generatorExtensions.MatchString(name) {
				d.note("its extension %s is for another generator, and was left out", name)
				remove(node, name)
			}
		}
	}
	for i, child := range node.Content {
		isValue := node.Kind == yaml.MappingNode && i%2 == 1
		if isValue && slices.Contains([]string{"example", "examples", "default", "enum", "const"}, node.Content[i-1].Value) {
			continue
		}
		if isValue && node.Content[i-1].Value == "properties" && child.Kind == yaml.MappingNode {
			for j := 1; j < len(child.Content); j += 2 { // a member may have any name
				d.dropGeneratorExtensions(child.Content[j])
			}
			continue
		}
		d.dropGeneratorExtensions(child)
	}
}

// kept are the references that stay. The generator understands no others, and the overlay must
// recognise parameters.
var kept = regexp.MustCompile(`^#/components/(schemas|responses|requestBodies|headers|examples|links|callbacks|securitySchemes)/[^/~%]+$`)

// writeOutReferences replaces all other references by their targets.
func (d *document) writeOutReferences() {
	walk(d.root, func(node *yaml.Node) {
		if reference := referenceOf(node); reference != "" && !kept.MatchString(reference) {
			*node = *copyOf(d.deref(node))
		}
	})
	remove(get(d.root, "components"), "pathItems")
}

// clientNames are the generator's names for the parts of the client.
var clientNames = regexp.MustCompile(`^(client(interface|option|withresponses.*)?|new(client|clientwithresponses|.+request)|` +
	`requesteditorfn|httprequestdoer|with(baseurl|httpclient|requesteditorfn)|parse.+response|.+requestbody)$`)

// nameSchemas renames schemas whose names clash with parts of the client.
func (d *document) nameSchemas() {
	const holder = "#/components/schemas/"
	schemas := get(d.root, "components", "schemas")
	for _, name := range keys(schemas) {
		other := name + "Model"
		if !clientNames.MatchString(inGo(name)) || get(schemas, other) != nil {
			continue
		}
		schemas.Content[indexOf(schemas, name)].Value = other
		walk(d.root, func(node *yaml.Node) {
			if node.Value == holder+name {
				node.Value = holder + other
			}
		})
	}
}

// cutSlashes removes the slashes at the ends of paths.
func (d *document) cutSlashes() {
	paths := get(d.root, "paths")
	for i := 0; paths != nil && i < len(paths.Content); i += 2 {
		path := paths.Content[i].Value
		if cut := strings.TrimRight(path, "/"); cut != path && get(paths, cut) == nil && cut != "" {
			d.note("it writes %s with a slash at its end; the SDK sends none, and follows no redirect to one", cut)
			paths.Content[i].Value = cut
		}
	}
}

// cutPrefix moves the common prefix of the SDK's paths to the servers.
func (d *document) cutPrefix() {
	prefix := d.prefix()
	if prefix == "" || len(d.missing("")) == 0 || len(d.missing(prefix)) > 0 {
		return
	}
	paths := get(d.root, "paths")
	if slices.ContainsFunc(keys(paths), func(path string) bool { return !strings.HasPrefix(path, prefix+"/") }) {
		return // some paths lack it, so it is not a prefix of the API
	}
	for i := 0; i < len(paths.Content); i += 2 {
		paths.Content[i].Value = strings.TrimPrefix(paths.Content[i].Value, prefix)
	}
	d.note("all its paths begin with %s, which is part of the servers' addresses now", prefix)
	if servers := get(d.root, "servers"); servers != nil {
		for _, server := range servers.Content {
			if url := get(server, "url"); url != nil {
				url.Value = strings.TrimRight(url.Value, "/") + prefix
			}
		}
	}
}

// prefix returns the text before the path of the first operation.
func (d *document) prefix() string {
	for _, path := range keys(get(d.root, "paths")) {
		if prefix, found := strings.CutSuffix(path, api.AuthToken.Path); found {
			return prefix
		}
	}
	return ""
}

// path returns a path as the description writes it, regardless of the names of its parameters. It
// is empty if there is none.
func (d *document) path(wanted string) string {
	for _, path := range keys(get(d.root, "paths")) {
		if contract.Anonymous(path) == contract.Anonymous(wanted) {
			return path
		}
	}
	return ""
}

// missing lists the operations of the SDK that the description lacks under a prefix.
func (d *document) missing(prefix string) (missing []string) {
	for _, operation := range api.Operations {
		found := get(d.root, "paths", d.path(prefix+operation.Path), strings.ToLower(operation.Method))
		if found == nil || found.Kind != yaml.MappingNode {
			missing = append(missing, operation.Method+" "+operation.Path)
		}
	}
	return missing
}

// isOurs refuses a description of another API, and one that lacks operations of this API.
func (d *document) isOurs() error {
	switch missing := d.missing(""); {
	case len(missing) == len(api.Operations) && d.prefix() != "":
		return fmt.Errorf("its paths begin with %s, but not all of them, or it lacks some: no address of a server can stand for that", d.prefix())
	case len(missing) == len(api.Operations):
		return fmt.Errorf("it describes another API: %q has none of this one's operations", scalar(d.root, "info", "title"))
	case len(missing) > 0:
		return fmt.Errorf("it lacks %s: it was cut off, or the provider has removed them. Then remove them from the SDK first, "+
			"and from the list in internal/api", strings.Join(missing, ", "))
	default:
		return nil
	}
}

// nameOperations sets the ids of the SDK's operations and the names of their path parameters. If
// another operation has the same id, or one that is the same in Go, that id is removed: then the
// generator makes one of method and path.
func (d *document) nameOperations() {
	paths := get(d.root, "paths")
	taken := map[string]bool{"client": true, "clientinterface": true, "server": true, "requesteditors": true} // fields of clients
	own := map[*yaml.Node]bool{}
	for _, wanted := range api.Operations {
		path := d.path(wanted.Path)
		operation := get(paths, path, strings.ToLower(wanted.Method))
		if operation == nil || operation.Kind != yaml.MappingNode {
			continue
		}
		nameParameters(get(paths, path), path, wanted.Path)
		paths.Content[indexOf(paths, path)].Value = wanted.Path
		set(operation, "operationId", wanted.ID)
		taken[inGo(wanted.ID)], own[operation] = true, true
	}
	for _, path := range keys(paths) {
		for _, method := range keys(get(paths, path)) {
			operation := get(paths, path, method)
			if !isMethod(method) || own[operation] {
				continue
			}
			if id := inGo(scalar(operation, "operationId")); id == "" || taken[id] || unicode.IsDigit(rune(id[0])) {
				remove(operation, "operationId")
			} else {
				taken[id] = true
			}
		}
	}
}

// inGo returns the Go form of a name, without regard to capitals.
func inGo(name string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, name))
}

var inBraces = regexp.MustCompile(`\{[^/{}]*\}`)

// nameParameters gives the parameters of a path the names in another path.
func nameParameters(item *yaml.Node, path, wanted string) {
	theirs, ours := inBraces.FindAllString(path, -1), inBraces.FindAllString(wanted, -1)
	walk(item, func(node *yaml.Node) {
		for i := range ours {
			if scalar(node, "in") == "path" && "{"+scalar(node, "name")+"}" == theirs[i] {
				set(node, "name", strings.Trim(ours[i], "{}"))
				break
			}
		}
	})
}

func isMethod(name string) bool {
	return slices.Contains([]string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}, name)
}
