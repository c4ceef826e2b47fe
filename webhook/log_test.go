package webhook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// Without any option, held items and deliveries that could not be stored are logged.
func TestFailuresGoToTheDefaultLogger(t *testing.T) {
	before := slog.Default()
	defer slog.SetDefault(before)
	for name, silent := range map[string]bool{"default": false, "silent": true} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
			nobody := slog.New(slog.DiscardHandler)
			inbox := webhook.NewMemoryInbox()
			broken, handler := newHandler(t, brokenInbox{}), newHandler(t, inbox)
			options := []webhook.WorkerOption{webhook.WithConfirmation(pix.Centavos(0))}
			if silent {
				broken.Logger = nobody
				options = append(options, webhook.WithLogger(nobody))
			}
			worker := webhook.NewWorker(inbox, newBank(t).client(t), func(context.Context, webhook.Transition) error {
				return errors.New("the wallet is closed")
			}, options...)
			require.Equal(t, 503, deliver(broken, paid))
			require.Equal(t, 200, deliver(handler, paid))
			_, err := worker.Work(t.Context())
			require.NoError(t, err)
			if silent {
				assert.Empty(t, log.String())
				return
			}
			assert.Contains(t, log.String(), "a delivery could not be stored")
			assert.Contains(t, log.String(), chargeID)
			assert.Regexp(t, "an item (is held for manual review|will be retried)", log.String())
		})
	}
}

func TestSharedValuesPrintAsTheirTypeNames(t *testing.T) {
	r := newReceiver(t)
	for want, value := range map[string]any{"webhook.Handler": r.Handler, "webhook.Worker": r.worker, "webhook.MemoryInbox": r.inbox} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
			assert.Equal(t, want, fmt.Sprintf(verb, value))
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("", "value", value)
		assert.Contains(t, log.String(), `"value":"`+want+`"`)
	}
}

func TestAnEventAndATransitionPrintNoPersonalData(t *testing.T) {
	event, err := parse(paid)
	require.NoError(t, err)
	inbox := webhook.NewMemoryInbox()
	require.Equal(t, 200, deliver(newHandler(t, inbox), paid))
	transition := webhook.Transition{Event: event, CashIn: event.CashIn}
	for _, value := range []any{inbox, event, *event, []*webhook.Event{event}, transition, &transition} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
			text := fmt.Sprintf(verb, value)
			assert.NotContains(t, text, "Test User")
			assert.NotContains(t, text, "12345678909")
			assert.NotContains(t, text, strings.Trim(fmt.Sprint([]byte("Test User")), "[]"))
		}
	}
}
