package contract

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// API is what a description says about the wire, without the names and the composition of its
// schemas. Two descriptions of the same traffic read the same.
type API struct {
	Title, Version string

	// Words are the description of the API.
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

// Operation is what the description says about one operation.
type Operation struct {
	// ID is the operationId.
	ID string

	// Method is the HTTP method in capitals, Path the path with its parameters in braces.
	Method, Path string

	// Public says that the operation needs no access token, Signed that it has a DigitalSignature
	// header and Keyed that it has an X-Idempotency-Key header, required or not.
	Public, Signed, Keyed bool

	// Security names the schemes of the security requirements by what they are: "http bearer".
	Security []string

	// Parameters are all but those of the path, "header X-Idempotency-Key" for instance. Headers
	// are in canonical form.
	Parameters map[string]Member

	// Headers are the names of the headers of its answers.
	Headers []string

	// Words are its summary, description and tags, and whether it is deprecated.
	Words string

	// Request is the JSON body, nil if the operation has none. Answers are the JSON bodies by
	// status, nil for one without JSON.
	Request Body
	Answers map[string]Body
}

// Name is the method and the path, with the names of its parameters left out.
func (o Operation) Name() string { return o.Method + " " + Anonymous(o.Path) }

// Answer is the body of the first answer of a class, "2" or "4". Problems may be the default.
func (o Operation) Answer(class string) Body {
	for _, status := range slices.Sorted(maps.Keys(o.Answers)) { // digits come before letters
		if strings.HasPrefix(status, class) || status == "default" {
			if body := o.Answers[status]; body != nil {
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

// Read reads a description in OpenAPI 3.0 or 3.1 whose references stay within it. Its error says
// that it is not valid.
func Read(text []byte) (*API, error) {
	doc, err := load(text, nil)
	if err != nil {
		return nil, err
	}
	api := &API{Title: doc.Info.Title, Version: doc.Info.Version, Words: doc.Info.Description, Events: map[string]Body{}}
	api.ForeignPatterns = DropForeignPatterns(doc)
	if err := validate(doc); err != nil {
		return nil, err
	}
	for _, server := range doc.Servers {
		url := server.URL
		for name, variable := range server.Variables {
			url = strings.ReplaceAll(url, "{"+name+"}", variable.Default)
		}
		api.Servers = append(api.Servers, strings.TrimSuffix(url, "/"))
	}
	bodies := &flattener{left: mostMembers}
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

// validate has the description judged as a whole. Examples are for people: one that contradicts its
// schema is a question to the provider and no reason to check nothing.
func validate(doc *openapi3.T) error {
	return doc.Validate(context.Background(), openapi3.DisableExamplesValidation(), openapi3.DisableSchemaDefaultsValidation(),
		openapi3.AllowExtraSiblingFields("description", "summary", "title", "nullable", "example", "readOnly", "deprecated"))
}

func readOperation(doc *openapi3.T, bodies *flattener, method, path string, item *openapi3.PathItem, described *openapi3.Operation) Operation {
	operation := Operation{
		ID: described.OperationID, Method: method, Path: path,
		Parameters: map[string]Member{}, Answers: map[string]Body{},
	}
	for _, parameter := range slices.Concat(item.Parameters, described.Parameters) {
		if parameter.Value.In != openapi3.ParameterInPath {
			operation.addParameter(bodies, parameter.Value)
		}
	}
	security := doc.Security
	if described.Security != nil {
		security = *described.Security
	}
	operation.Public = len(security) == 0
	for _, requirement := range security {
		operation.Public = operation.Public || len(requirement) == 0
		for name := range requirement {
			operation.addScheme(doc.Components.SecuritySchemes[name])
		}
	}
	slices.Sort(operation.Security)
	operation.Security = slices.Compact(operation.Security)
	operation.Signed = operation.has("header Digitalsignature")
	operation.Keyed = operation.has("header X-Idempotency-Key")
	if described.RequestBody != nil {
		operation.Request = bodies.flatten(jsonOf(described.RequestBody.Value.Content))
	}
	for status, answer := range described.Responses.Map() {
		operation.Answers[status] = bodies.flatten(jsonOf(answer.Value.Content))
		operation.Headers = append(operation.Headers, slices.Collect(maps.Keys(answer.Value.Headers))...)
	}
	slices.Sort(operation.Headers)
	operation.Headers = slices.Compact(operation.Headers)
	operation.Words = fmt.Sprint(described.Summary, described.Description, described.Tags, described.Deprecated)
	return operation
}

func (o *Operation) has(parameter string) bool {
	_, found := o.Parameters[parameter]
	return found
}

func (o *Operation) addParameter(bodies *flattener, parameter *openapi3.Parameter) {
	schema := parameter.Schema
	for _, media := range parameter.Content {
		schema = media.Schema
	}
	member := bodies.flatten(schema)[""]
	member.Required = parameter.Required
	if name := parameterName(parameter.In, parameter.Name); name != "header Authorization" {
		o.Parameters[name] = member
	}
}

// addScheme adds a security scheme. A key in a header is a header, declared in another way.
func (o *Operation) addScheme(scheme *openapi3.SecuritySchemeRef) {
	switch {
	case scheme == nil || scheme.Value == nil:
	case scheme.Value.Type != "apiKey":
		o.Security = append(o.Security, strings.TrimSpace(scheme.Value.Type+" "+strings.ToLower(scheme.Value.Scheme)))
	case strings.EqualFold(scheme.Value.Name, "Authorization"):
		o.Security = append(o.Security, "http bearer")
	default:
		o.Parameters[parameterName(scheme.Value.In, scheme.Value.Name)] = Member{Type: "string", Required: true}
	}
}

func parameterName(in, name string) string {
	if in == openapi3.ParameterInHeader {
		name = canonicalHeader(name)
	}
	return in + " " + name
}

// jsonOf returns the schema of the JSON in a body, nil if there is none. Some generators call JSON
// */*.
func jsonOf(content openapi3.Content) *openapi3.SchemaRef {
	for _, mediaType := range slices.Sorted(maps.Keys(content)) {
		if isJSON(mediaType) {
			return content[mediaType].Schema
		}
	}
	return nil
}

func isJSON(mediaType string) bool { return strings.Contains(mediaType, "json") || mediaType == "*/*" }

// Operation finds an operation by its method and path, whatever the parameters of the path are
// called.
func (a *API) Operation(name string) (Operation, error) {
	method, path, _ := strings.Cut(name, " ")
	for _, operation := range a.Operations {
		if operation.Method == method && Anonymous(operation.Path) == Anonymous(path) {
			return operation, nil
		}
	}
	return Operation{}, fmt.Errorf("the description has no %s", name)
}
