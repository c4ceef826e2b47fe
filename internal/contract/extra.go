package contract

import (
	"encoding/json"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
)

// Silence lists the members that only one of a description and a response has.
type Silence struct {
	// Operation is the operationId, Status the response's.
	Operation string
	Status    int

	// Undeclared are the members that the response has and the description has not, as JSON
	// pointers with their JSON types; [] stands for the elements of a list.
	Undeclared map[string]string

	// Absent are the members that the description has and the response has not, as JSON pointers.
	Absent []string
}

// Silences compares the members of a response with the declared ones. It returns nil if the
// response is not declared or is not JSON, which a [Checker] reports.
func (c *Checker) Silences(request *http.Request, status int, header http.Header, body []byte) *Silence {
	route, _, err := c.responses.router.FindRoute(request)
	if err != nil {
		return nil
	}
	response := responseOf(route, status)
	mediaType, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if response == nil || err != nil || response.Value.Content.Get(mediaType) == nil {
		return nil
	}
	var value any
	if json.Unmarshal(body, &value) != nil {
		return nil
	}
	silence := &Silence{Operation: route.Operation.OperationID, Status: status, Undeclared: map[string]string{}}
	silence.compare(response.Value.Content.Get(mediaType).Schema, value, "")
	slices.Sort(silence.Absent)
	silence.Absent = slices.Compact(silence.Absent)
	return silence
}

func (s *Silence) compare(schema *openapi3.SchemaRef, value any, pointer string) {
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			for _, one := range parts(schema) {
				if one.Items != nil {
					s.compare(one.Items, element, pointer+"/[]")
				}
			}
		}
	case map[string]any:
		declared := openapi3.Schemas{}
		free := false // whether members may have any name
		for _, one := range parts(schema) {
			maps.Copy(declared, one.Properties)
			free = free || one.AdditionalProperties.Schema != nil
		}
		for name, member := range value {
			switch property := declared[name]; {
			case property != nil:
				s.compare(property, member, pointer+"/"+name)
			case !free:
				s.Undeclared[pointer+"/"+name] = typeOf(member)
			}
		}
		for name := range declared {
			if _, present := value[name]; !present {
				s.Absent = append(s.Absent, pointer+"/"+name)
			}
		}
	}
}

// parts returns the schemas that a schema is composed of.
func parts(reference *openapi3.SchemaRef) []*openapi3.Schema {
	if reference == nil || reference.Value == nil {
		return nil
	}
	all := []*openapi3.Schema{reference.Value}
	for _, part := range slices.Concat(reference.Value.AllOf, reference.Value.OneOf, reference.Value.AnyOf) {
		all = append(all, parts(part)...)
	}
	return all
}

func typeOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case float64:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	default:
		return "object"
	}
}

// Declares reports whether a header of a response is declared. Names are case-insensitive.
func (c *Checker) Declares(request *http.Request, status int, header string) bool {
	route, _, err := c.responses.router.FindRoute(request)
	if err != nil || responseOf(route, status) == nil {
		return false
	}
	for name := range responseOf(route, status).Value.Headers {
		if strings.EqualFold(name, header) {
			return true
		}
	}
	return false
}

// responseOf returns the declared response for a status, or the default, or nil.
func responseOf(route *routers.Route, status int) *openapi3.ResponseRef {
	if response := route.Operation.Responses.Status(status); response != nil {
		return response
	}
	return route.Operation.Responses.Default()
}
