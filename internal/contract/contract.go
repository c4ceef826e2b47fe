// Package contract validates HTTP traffic against openapi/connectpsp.yaml, the provider's
// description, without the overlay that shapes the generated code. Tests put a [Checker] in front
// of their server. Only tests and development tools import the package.
package contract

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// Checker reports deviations from the description. It changes no traffic. Goroutines may call its
// methods concurrently. The zero value is not usable: call [New] or [Open].
type Checker struct {
	requests, responses *side
	facts               Facts // nil if the description decides which members must be declared
	options             *openapi3filter.Options
	report              func(error)
}

// side is the description, prepared for one side of the traffic: requests or responses.
type side struct {
	doc    *openapi3.T
	router routers.Router
}

// New returns a [Checker] whose findings fail t. It checks values: types, formats, patterns,
// headers, media types, and whether published members of a response are declared. [Compare] checks
// the rest once for all traffic: other members, required members, values of enums and statuses. A
// description may declare more of those than the server of a test sends.
//
// New stops the test if the description cannot be found or is not valid. Findings after the end of
// the test, from a handler that outlives it, are dropped.
func New(t testing.TB) *Checker {
	t.Helper()
	directory, err := root()
	if err != nil {
		t.Fatal(err)
	}
	var mutex sync.Mutex
	ended := false
	t.Cleanup(func() {
		mutex.Lock()
		defer mutex.Unlock()
		ended = true
	})
	requests, responses, err := sidesOf(filepath.Join(directory, "openapi", "connectpsp.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	checker := newChecker(requests, responses, func(finding error) {
		mutex.Lock()
		defer mutex.Unlock()
		if !ended {
			t.Errorf("against the description: %v", finding)
		}
	})
	if checker.facts, err = ReadFacts(filepath.Join(directory, "openapi", "SOURCE.md")); err != nil {
		t.Fatal(err)
	}
	return checker
}

// Open returns a [Checker] of the description in a file, which checks everything in it. It calls
// report with every finding, from any goroutine. The error says that the file cannot be read or is
// not a valid description.
func Open(file string, report func(error)) (*Checker, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	both, err := newSide(text, nil)
	if err != nil {
		return nil, err
	}
	return newChecker(both, both, report), nil
}

func newChecker(requests, responses *side, report func(error)) *Checker {
	options := &openapi3filter.Options{
		MultiError:                        true,
		RejectWhenRequestBodyNotSpecified: true,
		SkipSettingDefaults:               true,
		AuthenticationFunc:                authenticated,
		SchemaValidationOptions:           formats(),
	}
	options.WithCustomSchemaErrorFunc(withoutValue)
	return &Checker{requests: requests, responses: responses, options: options, report: report}
}

// newSide reads a description, calls prepare for it, and validates it.
func newSide(text []byte, prepare func(map[string]any)) (*side, error) {
	doc, err := load(text, prepare)
	if err != nil {
		return nil, err
	}
	DropForeignPatterns(doc)
	if err := validate(doc); err != nil {
		return nil, err
	}
	// Without servers the router matches every host, also that of a test.
	doc.Servers = nil
	for _, item := range doc.Paths.Map() {
		item.Servers = nil
		for _, operation := range item.Operations() {
			operation.Servers = nil
		}
	}
	router, err := gorillamux.NewRouter(doc)
	return &side{doc, router}, err
}

var (
	sidesMutex sync.Mutex
	sides      = map[string][2]*side{}
)

// sidesOf reads the description in a file for New. It takes a tenth of a second, so tests share the
// result.
func sidesOf(file string) (requests, responses *side, err error) {
	sidesMutex.Lock()
	defer sidesMutex.Unlock()
	if known, found := sides[file]; found {
		return known[0], known[1], nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	if requests, err = newSide(text, prepareRequests); err != nil {
		return nil, nil, err
	}
	if responses, err = newSide(text, prepareResponses); err != nil {
		return nil, nil, err
	}
	sides[file] = [2]*side{requests, responses}
	return requests, responses, nil
}

// bodyLimit is the maximum size of a request body in bytes. Requests that follow the description
// are far smaller.
const bodyLimit = 1 << 20

// Middleware returns a handler that checks each request, calls next, checks the response and then
// sends it, unchanged. The response is buffered until next returns, so next can neither flush nor
// hijack. If next panics, with http.ErrAbortHandler or otherwise, the panic goes on and no response
// is checked.
func (c *Checker) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		input, restored := c.request(r)
		recorder := httptest.NewRecorder()
		next.ServeHTTP(recorder, restored)
		response := recorder.Result()
		if input != nil {
			c.response(input, response.StatusCode, response.Header, recorder.Body.Bytes())
		}
		maps.Copy(w.Header(), response.Header)
		w.WriteHeader(response.StatusCode)
		_, _ = w.Write(recorder.Body.Bytes())
	})
}

// Requests returns a handler that checks each request and lets next respond with the server's own
// http.ResponseWriter. It is for servers that break the description on purpose.
func (c *Checker) Requests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, restored := c.request(r)
		next.ServeHTTP(w, restored)
	})
}

// Webhook checks the body of a webhook against the event of its eventType. If the description has
// no events, it checks the data against the response to a read of the transaction, which is the
// same by the provider's guide.
func (c *Checker) Webhook(body []byte) {
	var told struct {
		EventType string
		Data      any
	}
	var value any
	if err := errors.Join(json.Unmarshal(body, &told), json.Unmarshal(body, &value)); err != nil {
		c.report(fmt.Errorf("webhook: %w", err))
		return
	}
	schema := c.responses.event(told.EventType)
	if schema == nil {
		schema, value = c.responses.transaction(told.EventType), told.Data
	}
	if schema == nil {
		return // Compare says that the description has no such response
	}
	options := append(formats(), openapi3.MultiErrors(), openapi3.VisitAsResponse(),
		openapi3.SetSchemaErrorMessageCustomizer(withoutValue))
	if c.responses.doc.IsOpenAPI31OrLater() {
		options = append(options, openapi3.EnableJSONSchema2020())
	}
	if err := schema.Value.VisitJSON(value, options...); err != nil {
		c.report(fmt.Errorf("webhook about a %s: %w", aboutOf(told.EventType), err))
	}
}

// event returns the schema of an event: the one that names its type, or else one about the same
// kind of transaction, or nil.
func (s *side) event(eventType string) (close *openapi3.SchemaRef) {
	for _, found := range findEvents(s.doc, &flattener{left: maxMembers}) {
		if slices.Contains(found.types, eventType) {
			return found.schema
		}
		if aboutOf(found.types[0]) == aboutOf(eventType) {
			close = found.schema
		}
	}
	return close
}

// transaction returns the schema of an event's transaction, as a read returns it.
func (s *side) transaction(eventType string) *openapi3.SchemaRef {
	item := s.doc.Paths.Find("/" + aboutOf(eventType) + "/{id}")
	if item == nil || item.Get == nil || item.Get.Responses.Status(http.StatusOK) == nil {
		return nil
	}
	return jsonOf(item.Get.Responses.Status(http.StatusOK).Value.Content)
}

func isKeyIn(scheme *openapi3.SecurityScheme, in string) bool {
	return scheme.Type == "apiKey" && scheme.In == in
}

// root returns the directory of the project, where openapi is. The working directory is inside of
// it, perhaps in another module.
func root() (string, error) {
	directory, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(directory, "openapi", "connectpsp.yaml")); err == nil {
			return directory, nil
		}
		parent := filepath.Dir(directory)
		if parent == directory {
			return "", errors.New("contract: no openapi/connectpsp.yaml in the working directory or above it")
		}
		directory = parent
	}
}

// request checks r, and returns it with its body unread. The input is nil if r belongs to no
// operation.
func (c *Checker) request(r *http.Request) (*openapi3filter.RequestValidationInput, *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, bodyLimit+1))
	restored := r.WithContext(r.Context())
	restored.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), r.Body), r.Body}

	check := r.Clone(r.Context())
	check.Body = io.NopCloser(bytes.NewReader(body))
	route, parameters, notFound := c.requests.router.FindRoute(check)
	if notFound != nil {
		c.report(fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, notFound))
		return nil, restored
	}
	input := &openapi3filter.RequestValidationInput{
		Request: check, PathParams: parameters, Route: route, Options: c.options,
	}
	find := func(format string, arguments ...any) {
		c.report(fmt.Errorf(route.Operation.OperationID+" request: "+format, arguments...))
	}
	switch {
	case err != nil:
		// The client went away before the end of its request. That is no finding, and a part of a
		// request cannot be checked.
		return input, restored
	case len(body) > bodyLimit:
		find("the body is longer than %d bytes", bodyLimit)
		return input, restored
	}
	if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil {
		find("%w", err)
	}
	// The filter ignores parameters that the description does not declare, and all but the first of
	// several headers.
	for name := range r.URL.Query() {
		if !declared(route.PathItem, route.Operation, openapi3.ParameterInQuery, name) {
			find("the query parameter %q is not declared", name)
		}
	}
	for name, values := range r.Header {
		single := name == "Authorization" || declared(route.PathItem, route.Operation, openapi3.ParameterInHeader, name)
		if single && len(values) > 1 {
			find("the header %s comes %d times", name, len(values))
		}
	}
	return input, restored
}

func (c *Checker) response(request *openapi3filter.RequestValidationInput, status int, header http.Header, body []byte) {
	find := func(err error) {
		c.report(fmt.Errorf("%s response %d: %w", request.Route.Operation.OperationID, status, err))
	}
	route, _, err := c.responses.router.FindRoute(request.Request)
	if err != nil {
		find(err)
		return
	}
	asked := *request
	asked.Route = route
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &asked, Status: status, Header: header, Options: c.options,
	}
	input.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(request.Request.Context(), input); err != nil {
		find(err)
		return
	}
	if c.facts != nil {
		c.undeclared(request.Request, status, header, body)
	}
	// The filter has an option for this check, but then skips some redirects.
	if responses := route.Operation.Responses; responses.Status(status) == nil && responses.Default() == nil {
		find(errors.New("the status is not declared"))
	}
}

// undeclared reports the members of a response that are published, and that the description does
// not declare at their place.
func (c *Checker) undeclared(request *http.Request, status int, header http.Header, body []byte) {
	silence := c.Silences(request, status, header, body)
	if silence == nil {
		return
	}
	route, _, _ := c.responses.router.FindRoute(request)
	where := route.Method + " " + route.Path + " response"
	if status >= http.StatusBadRequest {
		where = "problem"
	}
	for pointer := range silence.Undeclared {
		path := strings.ReplaceAll(strings.ReplaceAll(strings.TrimPrefix(pointer, "/"), "/[]", "[]"), "/", ".")
		if c.facts.sure(where, path) == "published" {
			c.report(fmt.Errorf("%s %d: %s is published and not declared", where, status, pointer))
		}
	}
}

// declared reports whether a parameter, its $ref followed, is declared for the operation or for its
// whole path. Names of headers are case-insensitive.
func declared(item *openapi3.PathItem, operation *openapi3.Operation, in, name string) bool {
	return slices.ContainsFunc(slices.Concat(item.Parameters, operation.Parameters), func(p *openapi3.ParameterRef) bool {
		same := p.Value.Name == name || in == openapi3.ParameterInHeader && strings.EqualFold(p.Value.Name, name)
		return p.Value.In == in && same
	})
}

// token68 is the form of a bearer token in RFC 6750.
var token68 = regexp.MustCompile(`^Bearer [A-Za-z0-9\-._~+/]+=*$`)

func authenticated(_ context.Context, input *openapi3filter.AuthenticationInput) error {
	header := input.RequestValidationInput.Request.Header
	if scheme := input.SecurityScheme; isKeyIn(scheme, openapi3.ParameterInHeader) {
		if header.Get(scheme.Name) == "" {
			return fmt.Errorf("there is no %s", scheme.Name)
		}
		return nil
	}
	if !token68.MatchString(header.Get("Authorization")) {
		return errors.New("there is no well-formed bearer token")
	}
	return nil
}

// formats turns on the check of the format uuid, which is off by default in the filter. The check
// of dates is on.
func formats() []openapi3.SchemaValidationOption {
	uuid := openapi3.NewRegexpFormatValidator(openapi3.FormatOfStringForUUIDOfRFC9562)
	return []openapi3.SchemaValidationOption{
		openapi3.EnableFormatValidation(),
		openapi3.WithStringFormatValidator("uuid", uuid),
	}
}

// codeLike matches texts that look like the value of an enum.
var codeLike = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,39}$`)

// withoutValue keeps the value that was found, which may be a secret, out of the message. It shows
// a code in the place of an enum's value: that is not a secret, and is what a reader needs to know.
func withoutValue(err *openapi3.SchemaError) string {
	reason := err.Reason
	if strings.HasPrefix(reason, "jsonschema validation failed") || strings.HasPrefix(reason, "error at ") { // of OpenAPI 3.1: it quotes values
		var parts openapi3.MultiError
		if errors.As(err.Origin, &parts) {
			return withoutValues(parts)
		}
		reason = "it is not as " + err.SchemaField + " says"
	}
	text := fmt.Sprintf("/%s: %s", strings.Join(err.JSONPointer(), "/"), reason)
	if value, ok := err.Value.(string); ok && err.SchemaField == "enum" && codeLike.MatchString(value) {
		text += ", and not " + value
	}
	return text
}

func withoutValues(parts openapi3.MultiError) string {
	var texts []string
	for _, part := range parts {
		var err *openapi3.SchemaError
		if errors.As(part, &err) {
			texts = append(texts, withoutValue(err))
		}
	}
	return strings.Join(texts, " | ")
}
