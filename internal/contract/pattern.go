package contract

import (
	"context"

	"github.com/getkin/kin-openapi/openapi3"
)

// DropForeignPatterns takes the patterns out of a description that Go cannot compile, so that all
// the rest of it can be checked: OpenAPI has the regular expressions of ECMAScript, such as (?=…).
// It returns them by where they were, as JSON pointers.
func DropForeignPatterns(doc *openapi3.T) map[string]string {
	dropped := map[string]string{}
	_ = doc.WalkSchemas(func(pointer string, schema *openapi3.SchemaRef) error {
		pattern := &openapi3.Schema{Type: &openapi3.Types{openapi3.TypeString}, Pattern: schema.Value.Pattern}
		if pattern.Validate(context.Background()) != nil {
			dropped[pointer] = pattern.Pattern
			schema.Value.Pattern = ""
		}
		return nil
	})
	return dropped
}
