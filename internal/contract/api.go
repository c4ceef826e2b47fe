package contract

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// API is the content of a description about the wire, without the names and the composition of its
// schemas. Two descriptions of the same traffic have equal APIs.
type API struct {
	Title, Version string

	// Words are the texts about the API as a whole, and about the operations that are webhooks.
	Words string

	// Servers are the URLs of the servers, with the defaults of their variables.
	Servers []string

	// Operations are sorted by path and method.
	Operations []Operation

	// Events are the bodies of webhooks by eventType. One that names no event of this API is
	// listed under the name of the webhook.
	Events map[string]Body

	// ForeignPatterns are the regular expressions that Go cannot compile, by JSON pointer.
	ForeignPatterns map[string]string
}

// Operation is the description of one operation.
type Operation struct {
	// ID is the operationId.
	ID string

	// Method is the HTTP method in capitals, Path the path with its parameters in braces.
	Method, Path string

	// Public is true if the operation needs no access token, Signed if it has a DigitalSignature
	// header and Keyed if it has an X-Idempotency-Key header, required or not.
	Public, Signed, Keyed bool

	// Security are the alternative security requirements, by the kind of their schemes: "http
	// bearer". An API key is listed only if there is a choice, because it is a parameter too.
	Security []string

	// Servers are the URLs of servers of its own, nil if it has those of the API.
	Servers []string

	// Parameters are by place and name, "header X-Idempotency-Key" for instance. Headers are in
	// canonical form, and the parameters of the path have numbers: "path 1".
	Parameters map[string]Member

	// Headers are the headers of its responses, by status.
	Headers map[string]map[string]Member

	// Media are the media types of its request and of its responses by status, each with the facts
	// that the bodies do not have.
	Media map[string]map[string]string

	// Words are the texts for people: about the operation itself, with links and callbacks, and
	// about each response and security scheme by name.
	Words map[string]string

	// Request is the JSON body, nil if the operation has none. Responses are the JSON bodies by
	// status, nil for one without JSON.
	Request   Body
	Responses map[string]Body
}

// Name is the method and the path, with the names of its parameters left out.
func (o Operation) Name() string { return o.Method + " " + Anonymous(o.Path) }

// Response is the body of the first response of a class, "2" or "4". Problems may be the default.
func (o Operation) Response(class string) Body {
	for _, status := range slices.Sorted(maps.Keys(o.Responses)) { // digits come before letters
		if strings.HasPrefix(status, class) || status == "default" {
			if body := o.Responses[status]; body != nil {
				return body
			}
		}
	}
	return nil
}

// Anonymous returns a path without the names of its parameters.
func Anonymous(path string) string {
	var text strings.Builder
	for part := range strings.SplitSeq(path, "{") {
		if text.Len() > 0 || strings.HasPrefix(path, "{") {
			_, part, _ = strings.Cut(part, "}")
			text.WriteString("{}")
		}
		text.WriteString(part)
	}
	return text.String()
}

var errRecursive = errors.New("a schema holds itself: give it an end, or take it out of the operations")

// Read reads a description in OpenAPI 3.0 or 3.1 whose references stay within the file. The error
// says that the description is not valid.
func Read(text []byte) (*API, error) {
	doc, err := load(text, nil)
	if err != nil {
		return nil, err
	}
	patterns := DropForeignPatterns(doc)
	if err := validate(doc); err != nil {
		return nil, err
	}
	api := &API{
		Title: doc.Info.Title, Version: doc.Info.Version, Servers: addresses(doc.Servers), Events: map[string]Body{},
		ForeignPatterns: patterns,
	}
	bodies := &flattener{left: maxMembers}
	about := *doc.Info
	about.Version = ""
	api.Words = inWords(about, doc.Tags, doc.ExternalDocs, doc.Extensions)
	for _, server := range doc.Servers {
		api.Words += inWords(server.Description, server.Variables)
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Webhooks)) {
		api.Words += readHook(doc, bodies, name, doc.Webhooks[name])
	}
	for path, item := range doc.Paths.Map() {
		for method, described := range item.Operations() {
			api.Operations = append(api.Operations, readOperation(doc, bodies, method, path, item, described))
		}
	}
	slices.SortFunc(api.Operations, func(a, b Operation) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
	})
	for _, found := range findEvents(doc, bodies) {
		for _, name := range found.types {
			if api.Events[name] == nil {
				api.Events[name] = found.body(bodies, name)
			}
		}
	}
	return api, bodies.fault
}

// validate validates the description as a whole, without its examples. Examples are for people: one
// that contradicts its schema is a question to the provider, and no reason to refuse the
// description.
func validate(doc *openapi3.T) error {
	return doc.Validate(context.Background(), openapi3.DisableExamplesValidation(), openapi3.DisableSchemaDefaultsValidation(),
		openapi3.AllowExtraSiblingFields("description", "summary", "title", "nullable", "example", "readOnly", "deprecated",
			"kind", "parent")) // of tags, in OpenAPI 3.2
}

// ExamplesFault returns an error that names an example which contradicts its schema, nil if none
// does. A generator that drops quotes makes numbers of texts, for example.
func ExamplesFault(text []byte) error {
	doc, err := load(text, nil)
	if err != nil {
		return err
	}
	DropForeignPatterns(doc)
	return doc.Validate(context.Background(), openapi3.EnableExamplesValidation(), openapi3.DisableSchemaDefaultsValidation())
}

func addresses(servers openapi3.Servers) (urls []string) {
	for _, server := range servers {
		url := server.URL
		for name, variable := range server.Variables {
			url = strings.ReplaceAll(url, "{"+name+"}", variable.Default)
		}
		urls = append(urls, strings.TrimSuffix(url, "/"))
	}
	return urls
}

// inWords returns the parts of a description that no rule compares as one text, so that a
// difference is seen.
func inWords(said ...any) string {
	text, _ := json.Marshal(said)
	return string(text)
}

func readOperation(doc *openapi3.T, bodies *flattener, method, path string, item *openapi3.PathItem, described *openapi3.Operation) Operation {
	operation := Operation{
		ID: described.OperationID, Method: method, Path: path,
		Parameters: map[string]Member{}, Responses: map[string]Body{},
		Headers: map[string]map[string]Member{}, Media: map[string]map[string]string{},
		Servers: addresses(item.Servers), Words: map[string]string{},
	}
	operation.Words["itself"] = inWords(item.Summary, item.Description, item.Extensions, described.Summary, described.Description,
		described.Tags, described.Deprecated, described.ExternalDocs, described.Extensions)
	for _, parameter := range slices.Concat(item.Parameters, described.Parameters) {
		operation.addParameter(bodies, parameter.Value)
	}
	if described.Servers != nil {
		operation.Servers = addresses(*described.Servers)
	}
	security := doc.Security
	if described.Security != nil {
		security = *described.Security
	}
	operation.secure(doc, security)
	operation.Signed = operation.has("header Digitalsignature")
	operation.Keyed = operation.has("header X-Idempotency-Key")
	if described.RequestBody != nil {
		body := described.RequestBody.Value
		operation.Request = bodies.flatten(jsonOf(body.Content))
		if top, found := operation.Request[""]; found {
			top.Required = body.Required
			operation.Request[""] = top
		}
		operation.addMedia(bodies, "request", body.Content)
		operation.Words["itself"] += inWords(body.Description, body.Extensions)
	}
	for _, status := range sortedKeys(described.Responses.Map()) {
		response := described.Responses.Value(status).Value
		operation.Responses[status] = bodies.flatten(jsonOf(response.Content))
		operation.addMedia(bodies, status, response.Content)
		operation.Headers[status] = map[string]Member{}
		for name, header := range response.Headers {
			operation.Headers[status][canonicalHeader(name)] = bodies.parameter(&header.Value.Parameter, openapi3.ParameterInHeader)
		}
		operation.Words[status] += inWords(response.Description, response.Links, response.Extensions)
	}
	for _, name := range sortedKeys(described.Callbacks) {
		for _, address := range sortedKeys(described.Callbacks[name].Value.Map()) {
			operation.Words["itself"] += readHook(doc, bodies, name+" "+address, described.Callbacks[name].Value.Value(address))
		}
	}
	return operation
}

// readHook records the words about a request that the gateway makes. Its body is an event.
func readHook(doc *openapi3.T, bodies *flattener, name string, item *openapi3.PathItem) string {
	var words string
	unsecured := *doc // the security of the API does not apply to the requests that it makes
	unsecured.Security = nil
	methods := item.Operations()
	for _, method := range sortedKeys(methods) {
		operation := readOperation(&unsecured, bodies, method, name, item, methods[method])
		operation.Request = nil
		words += inWords(operation)
	}
	return words
}

// addMedia adds the media types of a body.
func (o *Operation) addMedia(bodies *flattener, of string, content openapi3.Content) {
	o.Media[of] = map[string]string{}
	for _, name := range sortedKeys(content) {
		media, rest := content[name], ""
		if media.Schema != jsonOf(content) {
			rest, _ = bodies.rule(media.Schema, nil)
		}
		if len(media.Encoding) > 0 {
			rest += inWords(media.Encoding)
		}
		o.Media[of][name] = rest
		if media.Example != nil || media.Examples != nil {
			o.Words[of] += inWords(name, media.Example, media.Examples)
		}
	}
}

func (o *Operation) has(parameter string) bool {
	_, found := o.Parameters[parameter]
	return found
}

func (o *Operation) addParameter(bodies *flattener, parameter *openapi3.Parameter) {
	name := parameterName(parameter.In, parameter.Name)
	if parameter.In == openapi3.ParameterInPath {
		before, _, _ := strings.Cut(o.Path, "{"+parameter.Name+"}")
		name = fmt.Sprintf("path %d", strings.Count(before, "{")+1)
	}
	if name != "header Authorization" {
		o.Parameters[name] = bodies.parameter(parameter, parameter.In)
	}
}

// parameter reads a parameter, or a header of a response. Its serialization is a rule, unless it is
// the default.
func (f *flattener) parameter(parameter *openapi3.Parameter, in string) Member {
	schema, rules := parameter.Schema, map[string]string{}
	for mediaType, media := range parameter.Content {
		schema, rules["media type"] = media.Schema, mediaType
	}
	body := f.flatten(schema)
	member := body[""]
	member.Required = parameter.Required
	if delete(body, ""); len(body) > 0 {
		text, _ := json.Marshal(body)
		rules["members"] = string(text)
	}
	said, silent := *parameter, openapi3.Parameter{In: in}
	said.In = in
	usual, _ := silent.SerializationMethod()
	if written, err := said.SerializationMethod(); err == nil && *written != *usual {
		rules["style"] = fmt.Sprintf("%s, explode %t", written.Style, written.Explode)
	}
	if parameter.AllowReserved || parameter.AllowEmptyValue {
		rules["allowed"] = fmt.Sprintf("reserved %t, empty %t", parameter.AllowReserved, parameter.AllowEmptyValue)
	}
	member.Rules = joined(member.Rules, rules)
	member.Words += inWords(parameter.Description, parameter.Deprecated, parameter.Example, parameter.Examples, parameter.Extensions)
	return member
}

// secure adds security requirements. An API key in a header is a header, declared in another way.
func (o *Operation) secure(doc *openapi3.T, requirements openapi3.SecurityRequirements) {
	o.Public = len(requirements) == 0
	for _, requirement := range requirements {
		o.Public = o.Public || len(requirement) == 0
		var names []string
		for _, name := range sortedKeys(requirement) {
			var reference *openapi3.SecuritySchemeRef
			if doc.Components != nil {
				reference = doc.Components.SecuritySchemes[name]
			}
			if reference == nil || reference.Value == nil {
				continue
			}
			scheme := reference.Value
			o.Words[scheme.Type+" "+scheme.Scheme+scheme.Name] = inWords(scheme.Description, scheme.BearerFormat, scheme.Flows, scheme.OpenIdConnectUrl, scheme.Extensions)
			parameter := parameterName(scheme.In, scheme.Name)
			isKey := scheme.Type == "apiKey"
			switch {
			case isKey && parameter == "header Authorization":
				names = append(names, "http bearer")
			case isKey:
				if !o.has(parameter) {
					needed := !slices.ContainsFunc(requirements, func(other openapi3.SecurityRequirement) bool { return other[name] == nil })
					o.Parameters[parameter] = Member{Type: "string", Required: needed}
				}
				if len(requirements) > 1 {
					names = append(names, parameter)
				}
			default:
				kind := scheme.Type + " " + strings.ToLower(scheme.Scheme) + " " + strings.Join(requirement[name], " ")
				names = append(names, strings.Join(strings.Fields(kind), " "))
			}
		}
		if len(requirement) == 0 {
			names = []string{"nothing"}
		}
		if len(names) > 0 {
			slices.Sort(names)
			o.Security = append(o.Security, strings.Join(names, " with "))
		}
	}
	slices.Sort(o.Security)
	o.Security = slices.Compact(o.Security)
	if len(requirements) == 0 {
		o.Security = []string{"nothing"}
	}
}

func parameterName(in, name string) string {
	if in == openapi3.ParameterInHeader {
		name = canonicalHeader(name)
	}
	return in + " " + name
}

// jsonOf returns the schema of the JSON in a body, nil if there is none. Some generators write */*
// for JSON.
func jsonOf(content openapi3.Content) *openapi3.SchemaRef {
	for _, mediaType := range slices.Sorted(maps.Keys(content)) {
		if isJSON(mediaType) {
			return content[mediaType].Schema
		}
	}
	return nil
}

func isJSON(mediaType string) bool { return strings.Contains(mediaType, "json") || mediaType == "*/*" }

// Operation returns an operation by its method and path, regardless of the names of the parameters.
func (a *API) Operation(name string) (Operation, error) {
	method, path, _ := strings.Cut(name, " ")
	for _, operation := range a.Operations {
		if operation.Method == method && Anonymous(operation.Path) == Anonymous(path) {
			return operation, nil
		}
	}
	return Operation{}, fmt.Errorf("the description has no %s", name)
}
