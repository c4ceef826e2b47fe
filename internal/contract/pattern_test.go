package contract

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const foreign = `^(?=.*\S)[A-Za-z0-9_.-]{1,64}$`

// withForeignPattern is the test's description with one pattern more.
func withForeignPattern(t *testing.T, version string) string {
	text, err := os.ReadFile(filepath.Join("testdata", "description.yaml"))
	require.NoError(t, err)
	const reference = "        externalReference:\n          type: string\n"
	require.Contains(t, string(text), reference)
	file := filepath.Join(t.TempDir(), "description.yaml")
	require.NoError(t, os.WriteFile(file, []byte(strings.NewReplacer("openapi: 3.0.3", "openapi: "+version, "nullable: true", "",
		reference, reference+"          pattern: '"+foreign+"'\n").Replace(string(text))), 0o600))
	return file
}

func TestAPatternThatGoCannotCompileLeavesTheRestChecked(t *testing.T) {
	for _, version := range []string{"3.0.3", "3.1.0"} {
		t.Run(version, func(t *testing.T) {
			found := new(findings)
			checker, err := Open(withForeignPattern(t, version), found.add)
			require.NoError(t, err)
			e := creating()
			checker.Middleware(e).ServeHTTP(httptest.NewRecorder(), e.request())
			assert.Empty(t, found.all)
			e.body = strings.Replace(request, "12345678909", "529.982.247-25", 1)
			checker.Middleware(e).ServeHTTP(httptest.NewRecorder(), e.request())
			assert.Contains(t, found.text(), "/payer/document: ")
		})
	}
}

func TestOnlyPatternsThatGoCannotCompileAreDropped(t *testing.T) {
	schema := func(pattern string) *openapi3.SchemaRef {
		return openapi3.NewStringSchema().WithPattern(pattern).NewRef()
	}
	doc := &openapi3.T{Components: &openapi3.Components{Schemas: openapi3.Schemas{
		"Lookahead": schema(foreign), "Reference": schema(`(a)\1`), "Digits": schema(`^\d+$`), "Letters": schema(`^[\u00C0-\u00FF]$`), "None": schema(""),
		"Inside": openapi3.NewObjectSchema().WithPropertyRef("a~b", schema(foreign)).NewRef(),
	}}}
	assert.Equal(t, map[string]string{
		"/components/schemas/Lookahead": foreign, "/components/schemas/Reference": `(a)\1`, "/components/schemas/Inside/properties/a~0b": foreign,
	}, DropForeignPatterns(doc))
	assert.Empty(t, doc.Components.Schemas["Lookahead"].Value.Pattern)
	assert.Equal(t, `^\d+$`, doc.Components.Schemas["Digits"].Value.Pattern)
	assert.Empty(t, DropForeignPatterns(doc))
}
