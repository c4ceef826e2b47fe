package connectpspotel_test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	connectpspotel "github.com/connectpsp/connectpsp-go/otel"
	"github.com/connectpsp/connectpsp-go/webhook"
)

func guide(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/tracing.md")
	require.NoError(t, err)
	return string(text)
}

// frame is what a program has around the code of the guide.
const frame = `package guide

import (
	"context"
	"database/sql"
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	connectpspotel "github.com/connectpsp/connectpsp-go/otel"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

var (
	_ = sqlstore.Open
	_ noop.TracerProvider
	_ propagation.TraceContext
)

func _(ctx context.Context, config connectpsp.Config, db *sql.DB, apply func(context.Context, webhook.Transition) error) error {
SNIPPET
	_, _ = client, err
	return nil
}
`

func TestTheCodeOfTheGuideCompiles(t *testing.T) {
	scratch, err := filepath.Abs("guide")
	require.NoError(t, err)
	snippets := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(guide(t), -1)
	require.Len(t, snippets, 2)
	for _, snippet := range snippets {
		file := filepath.Join(t.TempDir(), "guide.go")
		require.NoError(t, os.WriteFile(file, []byte(strings.Replace(frame, "SNIPPET", snippet[1], 1)), 0o600))
		// The overlay puts the file into the module without writing into the tree.
		overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(scratch, "guide.go"): file}})
		require.NoError(t, err)
		overlayFile := filepath.Join(t.TempDir(), "overlay.json")
		require.NoError(t, os.WriteFile(overlayFile, overlay, 0o600))
		output, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlayFile, "./guide").CombinedOutput()
		assert.NoError(t, err, "%s", output)
	}
}

func TestTheGuideListsEachAttribute(t *testing.T) {
	tel := newTelemetry(t, connectpspotel.WithIDs(), connectpspotel.WithURLTemplate())
	for _, activity := range []any{
		connectpsp.Call{Outcome: connectpsp.CallUnknown, Code: connectpsp.CodeCashInExpired, Recovering: true, ExternalReference: "r", IdempotencyKey: "k", TransactionID: "t"},
		connectpsp.Attempt{Method: "POST", Number: 2, Reason: connectpsp.RetryNoResponse, Status: 202, Deviation: "body", Outcome: connectpsp.CallUnknown},
		webhook.Delivery{Result: webhook.DeliveryStored, Status: 200, Type: webhook.CashInPaid, TransactionID: "t", DeliveryID: "d"},
		webhook.Processing{
			Kind: webhook.KindCashOut, Result: webhook.ProcessingHeld, From: webhook.StatusProcessing, To: webhook.StatusCompleted, Lag: time.Minute,
			MissedPayment: true, LatePayment: true, Contradiction: true, Unrequested: true, ReturnUnclear: true, Late: true, PayerDocument: "same", PayerAccount: "same", Alarm: true, TransactionID: "t", ExternalReference: "r",
		},
	} {
		tel.End(tel.Begin(t.Context(), activity), activity)
	}
	used := map[string]bool{}
	for _, span := range tel.spans.GetSpans() {
		for key := range attributesOf(span) {
			used[key] = true
		}
	}
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(.*?)` \\|").FindAllStringSubmatch(guide(t), -1) {
		for _, key := range strings.Split(row[1], "`, `") {
			listed[key] = true
		}
	}
	assert.Equal(t, slices.Sorted(maps.Keys(used)), slices.Sorted(maps.Keys(listed)))
}
