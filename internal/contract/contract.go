// Package contract holds HTTP traffic against openapi/connectpsp.yaml, the provider's description,
// as it stands: without the overlay that shapes the generated code. Tests put a Checker in front of
// the server they talk to. Nothing else imports it.
package contract

import (
	"bytes"
	"cmp"
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

// Checker reports what deviates from the description. It changes no traffic. Its methods may be
// called by several goroutines at once. The zero value is of no use: call New.
type Checker struct {
	doc        *openapi3.T
	router     routers.Router
	notOffered []string
	options    *openapi3filter.Options
	report     func(error)
}

// New returns a Checker whose findings fail t. It stops the test if the description cannot be found
// or is not valid. A finding that comes after the end of the test, from a handler that outlives it,
// is dropped.
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
	checker, err := newChecker(filepath.Join(directory, "openapi", "connectpsp.yaml"), func(finding error) {
		mutex.Lock()
		defer mutex.Unlock()
		if !ended {
			t.Errorf("against the description: %v", finding)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return checker
}

func newChecker(file string, report func(error)) (*Checker, error) {
	description, err := load(file)
	if err != nil {
		return nil, err
	}
	options := &openapi3filter.Options{
		MultiError:                        true,
		RejectWhenRequestBodyNotSpecified: true,
		SkipSettingDefaults:               true,
		AuthenticationFunc:                authenticated,
		SchemaValidationOptions:           formats(),
	}
	options.WithCustomSchemaErrorFunc(withoutValue)
	return &Checker{
		doc: description.doc, router: description.router, notOffered: description.notOffered, options: options, report: report,
	}, nil
}

// description is a file that was read and found valid. That takes a tenth of a second, so tests
// share it.
type description struct {
	doc        *openapi3.T
	router     routers.Router
	notOffered []string // as spec.lock beside it lists them
}

var (
	documentsMutex sync.Mutex
	documents      = map[string]*description{}
)

func load(file string) (*description, error) {
	documentsMutex.Lock()
	defer documentsMutex.Unlock()
	if documents[file] != nil {
		return documents[file], nil
	}
	doc, err := openapi3.NewLoader().LoadFromFile(file)
	if err != nil {
		return nil, err
	}
	DropForeignPatterns(doc)
	// Examples are for people. One that contradicts its schema is a question to the provider and no
	// reason to check nothing.
	if err := doc.Validate(context.Background(), openapi3.DisableExamplesValidation()); err != nil {
		return nil, err
	}
	// Without servers the router matches every host, so also a test's.
	doc.Servers = nil
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, err
	}
	var lock struct{ NotOffered []string }
	text, err := os.ReadFile(filepath.Join(filepath.Dir(file), "spec.lock"))
	if err == nil {
		err = json.Unmarshal(text, &lock)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	documents[file] = &description{doc: doc, router: router, notOffered: lock.NotOffered}
	return documents[file], nil
}

// bodyLimit is the most that is read of a request, in bytes. None that follows the description
// comes near.
const bodyLimit = 1 << 20

// Middleware returns a handler that checks each request, has next answer it, checks the answer and
// then sends it, unchanged. The answer is held back until next returns, so next can neither flush
// nor hijack. If next panics, with http.ErrAbortHandler or otherwise, the panic goes on and there
// is no answer to check.
func (c *Checker) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		input, restored := c.request(r)
		recorder := httptest.NewRecorder()
		next.ServeHTTP(recorder, restored)
		answer := recorder.Result()
		if input != nil {
			c.answer(input, answer.StatusCode, answer.Header, recorder.Body.Bytes())
		}
		maps.Copy(w.Header(), answer.Header)
		w.WriteHeader(answer.StatusCode)
		_, _ = w.Write(recorder.Body.Bytes())
	})
}

// Requests returns a handler that checks each request and lets next answer with the server's own
// http.ResponseWriter. It is for servers that answer against the description on purpose.
func (c *Checker) Requests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, restored := c.request(r)
		next.ServeHTTP(w, restored)
	})
}

// Webhook checks the body of a webhook against the event that its eventType belongs to. If the
// description leaves events out, it checks the data, which the provider's guide says is what a read
// of the transaction answers.
func (c *Checker) Webhook(body []byte) {
	var event struct {
		EventType string
		Data      any
	}
	var value any
	if err := errors.Join(json.Unmarshal(body, &event), json.Unmarshal(body, &value)); err != nil {
		c.report(fmt.Errorf("webhook: %w", err))
		return
	}
	name := "CashIn"
	if strings.HasPrefix(event.EventType, "CASHOUT_") {
		name = "CashOut"
	}
	schema := c.doc.Components.Schemas[name+"Event"]
	if schema == nil {
		schema, value = c.doc.Components.Schemas[name], event.Data
	}
	if schema == nil {
		c.report(fmt.Errorf("webhook: the description has no schema %s", name))
		return
	}
	options := append(formats(), openapi3.MultiErrors(), openapi3.VisitAsResponse(),
		openapi3.SetSchemaErrorMessageCustomizer(withoutValue))
	if c.doc.IsOpenAPI31OrLater() {
		options = append(options, openapi3.EnableJSONSchema2020())
	}
	if err := schema.Value.VisitJSON(value, options...); err != nil {
		c.report(fmt.Errorf("webhook %s: %w", name, err))
	}
}

// Operation is what the description asks of one operation.
type Operation struct {
	// ID is the operationId.
	ID string

	// Method is the HTTP method in capitals, Path the path with its parameters in braces.
	Method, Path string

	// Public says that the operation needs no access token, Signed that it has a DigitalSignature
	// header and Keyed that it has an X-Idempotency-Key header, required or not.
	Public, Signed, Keyed bool
}

// Operations returns the operations of the description, in the order of their ids. Those are left
// out of which openapi/spec.lock says that the SDK does not offer them.
func (c *Checker) Operations() []Operation {
	var operations []Operation
	for path, item := range c.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			if slices.Contains(c.notOffered, method+" "+path) {
				continue
			}
			security := c.doc.Security
			if operation.Security != nil {
				security = *operation.Security
			}
			has := func(header string) bool {
				return declared(item, operation, openapi3.ParameterInHeader, header) || c.isKey(security, header)
			}
			operations = append(operations, Operation{
				ID:     operation.OperationID,
				Method: method,
				Path:   path,
				Public: len(security) == 0,
				Signed: has("DigitalSignature"),
				Keyed:  has("X-Idempotency-Key"),
			})
		}
	}
	slices.SortFunc(operations, func(a, b Operation) int { return cmp.Compare(a.ID, b.ID) })
	return operations
}

// isKey reports whether a header is asked for as a key among the security requirements, which is
// another way of declaring it.
func (c *Checker) isKey(security openapi3.SecurityRequirements, header string) bool {
	return slices.ContainsFunc(security, func(requirement openapi3.SecurityRequirement) bool {
		for name := range requirement {
			scheme := c.doc.Components.SecuritySchemes[name]
			if scheme != nil && isKeyIn(scheme.Value, openapi3.ParameterInHeader) && strings.EqualFold(scheme.Value.Name, header) {
				return true
			}
		}
		return false
	})
}

func isKeyIn(scheme *openapi3.SecurityScheme, in string) bool {
	return scheme.Type == "apiKey" && scheme.In == in
}

// root returns the directory of the project that the working directory is in, where openapi is. It
// may be another module.
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

// request checks r and returns it with its body unread. The input is nil if r belongs to no
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
	route, parameters, notFound := c.router.FindRoute(check)
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
		// The client went away before all of its request was there. That is no breach, and half a
		// request cannot be judged.
		return input, restored
	case len(body) > bodyLimit:
		find("the body is longer than %d bytes", bodyLimit)
		return input, restored
	}
	if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil {
		find("%w", err)
	}
	// The filter lets pass what the description does not mention, and looks at the first of several
	// headers only.
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

func (c *Checker) answer(request *openapi3filter.RequestValidationInput, status int, header http.Header, body []byte) {
	find := func(err error) {
		c.report(fmt.Errorf("%s answer %d: %w", request.Route.Operation.OperationID, status, err))
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: status, Header: header, Options: c.options,
	}
	input.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(request.Request.Context(), input); err != nil {
		find(err)
		return
	}
	// The filter could be told to look for this, but then leaves some redirects out.
	if responses := request.Route.Operation.Responses; responses.Status(status) == nil && responses.Default() == nil {
		find(errors.New("the status is not declared"))
	}
}

// declared reports whether a parameter, its $ref followed, is declared for the operation or for its
// whole path. Names of headers have no case.
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

// formats turns on the check of uuid, which the filter leaves to its caller. It knows dates by
// itself.
func formats() []openapi3.SchemaValidationOption {
	uuid := openapi3.NewRegexpFormatValidator(openapi3.FormatOfStringForUUIDOfRFC9562)
	return []openapi3.SchemaValidationOption{
		openapi3.EnableFormatValidation(),
		openapi3.WithStringFormatValidator("uuid", uuid),
	}
}

// codeLike is what values of enums look like.
var codeLike = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,39}$`)

// withoutValue keeps the value that was found, which may be a secret, out of the message. A code in
// the place of an enum's is none, and is what one wants to know.
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
