package connectpsp_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheClientLinksFewPackages(t *testing.T) {
	output, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	require.NoError(t, err)
	for _, path := range strings.Fields(string(output)) {
		own := strings.HasPrefix(path, "github.com/connectpsp/connectpsp-go/")
		assert.True(t, own || path == "github.com/google/uuid" || path == "github.com/oapi-codegen/runtime" ||
			strings.HasPrefix(path, "github.com/oapi-codegen/runtime/") || path == "github.com/apapsch/go-jsonmerge/v2", path)
	}
}

func TestPackagesImportOnlyLowerFloors(t *testing.T) {
	const module = "github.com/connectpsp/connectpsp-go/"
	floors := map[string]int{"pix": 0, "internal/redact": 0, "internal/api": 0, "internal/jitter": 0, "internal/observe": 0, "gen": 1, "internal/answer": 1,
		"auth": 2, "signing": 2, "idempotency": 2, "connectpsp": 3,
		"webhook": 4, "journal": 4, "sandbox": 4, "connectpsp/journaltest": 4, "webhook/inboxtest": 5,
		"sandbox/conformance": 5, "sandbox/control": 5, "sqlstore": 5, "examples/quickstart": 5,
		"internal/measure": 5, "metrics": 6}
	output, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "../...").Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(output)) {
		paths := strings.Fields(line)
		from := strings.TrimPrefix(paths[0], module)
		if _, has := floors[from]; strings.HasPrefix(from, "internal/") && !has || from == "openapi" {
			continue // for tests only
		}
		assert.Contains(t, floors, from)
		for _, path := range paths[1:] {
			if to, own := strings.CutPrefix(path, module); own {
				assert.True(t, floors[to] < floors[from], "%s imports %s", from, to)
			}
		}
	}
}
