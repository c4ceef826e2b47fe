package contract

import (
	"context"

	"github.com/getkin/kin-openapi/openapi3"
)

// DropForeignPatterns removes the patterns from a description that Go cannot compile, so that the
// rest can be checked: OpenAPI has the regular expressions of ECMAScript, such as (?=…). It returns
// them by their JSON pointers.
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
