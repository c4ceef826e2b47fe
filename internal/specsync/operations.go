package main

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// api are the operations by which a description of this API is known, with the ids and the names of parameters that the SDK's code is
// written against. A description may have others: they mean nothing to traffic.
var api = []struct{ id, method, path string }{
	{"authToken", "post", "/auth/token"},
	{"createCashIn", "post", "/cash-in"},
	{"getCashIn", "get", "/cash-in/{id}"},
	{"refundCashIn", "post", "/cash-in/{id}/refund"},
	{"createCashOut", "post", "/cash-out"},
	{"getCashOut", "get", "/cash-out/{id}"},
	{"getBalance", "get", "/account/balance"},
	{"rebalanceAccount", "post", "/account/rebalance"},
}

// nameOperations gives the operations the ids, and their paths' parameters the names, that the SDK's code knows.
func (d *document) nameOperations() {
	paths := get(d.root, "paths")
	for _, wanted := range api {
		path := d.path(wanted.path)
		item := get(paths, path)
		theirs, ours := inBraces.FindAllString(path, -1), inBraces.FindAllString(wanted.path, -1)
		for i := range ours {
			d.renameParameter(item, strings.Trim(theirs[i], "{}"), strings.Trim(ours[i], "{}"))
		}
		paths.Content[indexOf(paths, path)].Value = wanted.path
		operation := get(item, wanted.method)
		if get(operation, "operationId") == nil {
			add(operation, "operationId", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str"})
		}
		get(operation, "operationId").Value = wanted.id
	}
}

var inBraces = regexp.MustCompile(`\{[^/{}]*\}`)

// anonymous is a path without the names of its parameters.
func anonymous(path string) string { return inBraces.ReplaceAllLiteralString(path, "{}") }

// path finds a path as the description writes it, whatever its parameters are called there. It is empty if there is none.
func (d *document) path(wanted string) string {
	paths := get(d.root, "paths")
	if get(paths, wanted) != nil {
		return wanted
	}
	for _, path := range keys(paths) {
		if anonymous(path) == anonymous(wanted) {
			return path
		}
	}
	return ""
}

func (d *document) renameParameter(item *yaml.Node, from, to string) {
	if from == to {
		return
	}
	eachParameter(item, func(parameter *yaml.Node) {
		declared := d.deref(parameter)
		if scalar(declared, "in") == "path" && scalar(declared, "name") == from {
			d.writeOutAt(parameter)
			get(parameter, "name").Value = to
		}
	})
}

// knownHeaders are in the references to headers that openapi/overlay.yaml takes out of the signatures of methods.
var knownHeaders = regexp.MustCompile(`ApplicationToken|DigitalSignature|[Ii]dempotency`)

// writeOutHeaders puts the headers that are declared under other names where they are used. There the overlay sees what they are.
func (d *document) writeOutHeaders() {
	for _, path := range keys(get(d.root, "paths")) {
		eachParameter(get(d.root, "paths", path), func(parameter *yaml.Node) {
			if scalar(d.deref(parameter), "in") == "header" && !knownHeaders.MatchString(referenceOf(parameter)) {
				d.writeOutAt(parameter)
			}
		})
	}
}

// writeOutAt replaces a reference by a copy of what it leads to.
func (d *document) writeOutAt(node *yaml.Node) {
	*node = *copyOf(d.deref(node))
}

// copyOf copies all of a value.
func copyOf(node *yaml.Node) *yaml.Node {
	copied := *node
	copied.Content = nil
	for _, child := range node.Content {
		copied.Content = append(copied.Content, copyOf(child))
	}
	return &copied
}

// eachParameter visits the parameters of a path and of its operations.
func eachParameter(item *yaml.Node, visit func(*yaml.Node)) {
	holders := []*yaml.Node{item}
	for _, name := range keys(item) {
		if isMethod(name) {
			holders = append(holders, get(item, name))
		}
	}
	for _, holder := range holders {
		if parameters := get(holder, "parameters"); parameters != nil {
			for _, parameter := range parameters.Content {
				visit(parameter)
			}
		}
	}
}

// notOffered lists the operations that the SDK does not have.
func (d *document) notOffered() []string {
	var operations []string
	for _, path := range keys(get(d.root, "paths")) {
		for _, method := range keys(get(d.root, "paths", path)) {
			known := false
			for _, operation := range api {
				known = known || operation.method == method && operation.path == path
			}
			if !known && isMethod(method) {
				operations = append(operations, strings.ToUpper(method)+" "+path)
			}
		}
	}
	return operations
}

func isMethod(name string) bool {
	switch name {
	case "get", "put", "post", "delete", "options", "head", "patch", "trace":
		return true
	default:
		return false
	}
}
