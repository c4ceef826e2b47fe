package pix_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// assertHidden checks that no usual way of printing value, or a struct that
// has it in a field fmt may not call methods on, shows secret.
func assertHidden(t *testing.T, secret, mask string, value, holder any) {
	t.Helper()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		for _, printed := range []any{value, holder, []any{value}, map[string]any{"value": value}} {
			text := fmt.Sprintf(verb, printed)
			assert.NotContains(t, text, secret, verb)
			assert.NotContains(t, strings.ToLower(text), fmt.Sprintf("%x", secret), verb)
		}
	}
	text, err := json.Marshal(value)
	require.NoError(t, err)
	assert.Equal(t, `"`+mask+`"`, string(text))

	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("paid", "value", value, "holder", holder)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("paid", "value", value, "holder", holder)
	assert.Equal(t, 2, strings.Count(log.String(), mask))
	assert.NotContains(t, log.String(), secret)
}
