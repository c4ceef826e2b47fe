package connectpspotel_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The SDK of OpenTelemetry and the exporters are the program's choice.
func TestTheModuleLinksOnlyTheAPIOfOpenTelemetry(t *testing.T) {
	output, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	linked := strings.Fields(string(output))
	assert.Contains(t, linked, "go.opentelemetry.io/otel/trace")
	for _, path := range linked {
		for _, more := range []string{"go.opentelemetry.io/otel/sdk", "go.opentelemetry.io/otel/exporters", "go.opentelemetry.io/contrib", "github.com/prometheus"} {
			assert.False(t, strings.HasPrefix(path, more), path)
		}
	}
}
