package sandbox_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// noon is where clocks of tests stand still.
var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// cancelled returns a context that has ended.
func cancelled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestTheClockRunsOnFromTheTimeItIsSetTo(t *testing.T) {
	g := start(t)
	assert.WithinDuration(t, time.Now(), g.Now(), 10*time.Second)
	assert.Equal(t, time.UTC, g.Now().Location())

	newYear := time.Date(2131, 1, 1, 0, 0, 0, 0, time.UTC)
	require.NoError(t, g.SetTime(newYear))
	assert.WithinRange(t, g.Now(), newYear, newYear.Add(10*time.Second))
	require.NoError(t, g.Advance(time.Hour))
	assert.WithinRange(t, g.Now(), newYear.Add(time.Hour), newYear.Add(time.Hour+10*time.Second))
}

func TestTheClockOnlyGoesForward(t *testing.T) {
	g := start(t, sandbox.WithTime(noon))
	for name, err := range map[string]error{
		"Advance back":     g.Advance(-1),
		"Advance too far":  g.Advance(1<<63 - 1),
		"SetTime back":     g.SetTime(noon.Add(-1)),
		"SetTime too far":  g.SetTime(time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)),
		"SetTime absurdly": g.SetTime(time.Time{}),
		"JumpTo back":      g.JumpTo(noon.Add(-1)),
		"JumpTo too far":   g.JumpTo(time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)),
	} {
		assert.ErrorIs(t, err, sandbox.ErrInvalid, name)
	}
	assert.Equal(t, noon, g.Now())
	require.NoError(t, g.SetTime(noon), "to the present time")
	require.NoError(t, g.Advance(0))
	assert.Equal(t, noon, g.Now())
}

func TestTheClockStopsAtTheEndOfTheYear2199(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway, err := sandbox.Start(sandbox.WithMemoryNetwork())
		require.NoError(t, err)
		defer gateway.Close()
		require.NoError(t, gateway.SetTime(time.Date(2199, 12, 31, 23, 59, 59, 0, time.UTC)))
		require.NoError(t, gateway.SendWebhook("http://127.0.0.1:9/", []byte("{}"))) // nothing listens there
		time.Sleep(time.Hour)
		assert.Equal(t, 2199, gateway.Now().Year())
		require.NoError(t, gateway.WaitWebhooks(t.Context()), "the last attempts come without a pause")
		assert.Len(t, gateway.Deliveries(), sandbox.MaxAttempts)
		taken, err := gateway.Snapshot()
		require.NoError(t, err)
		assert.NoError(t, gateway.Restore(taken))
		require.NoError(t, gateway.Restore(bytes.Replace(taken, []byte(gateway.Now().Format(time.RFC3339Nano)), []byte("2026-03-10T12:00:00Z"), 1)))
		assert.Equal(t, noon, gateway.Now(), "a snapshot goes back to its time exactly")
	})
}

func TestAJumpDoesNotWaitForWebhooks(t *testing.T) {
	g := start(t, sandbox.WithTime(noon))
	responds := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-responds:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(hanging.Close)
	failing := newReceiver(t, 500)
	expiring := g.newCashIn("order-1", "")
	require.NoError(t, g.SendWebhook(failing.URL, []byte("{}")))
	soon(t, failing.arrived)
	require.NoError(t, g.Advance(0)) // the first attempt has ended
	require.NoError(t, g.SendWebhook(hanging.URL, []byte("{}")))

	later := noon.Add(72 * time.Hour)
	require.NoError(t, g.JumpTo(later))
	assert.Equal(t, later, g.Now())
	assert.Equal(t, connectpsp.CashInExpired, g.CashIns()[0].Status, expiring.TransactionID)
	soon(t, failing.arrived)
	close(responds)
	g.waitWebhooks()
	for _, delivery := range g.Deliveries() {
		if delivery.Attempt == 2 {
			assert.Equal(t, later, delivery.Time)
		}
	}
	assert.Len(t, g.Deliveries(), 3)
}

func TestAClockThatStandsStillIsMovedByTheTestOnly(t *testing.T) {
	g := start(t, sandbox.WithTime(noon.In(time.FixedZone("", 3600))))
	charge := g.newCashIn("order-1", "")
	assert.Equal(t, noon, charge.RequestedAt.UTC())
	require.NoError(t, g.Advance(90*time.Second))
	require.NoError(t, g.SetTime(noon.Add(45*time.Minute)))
	assert.Equal(t, noon.Add(45*time.Minute), g.Now())
	assert.Equal(t, noon.Add(30*time.Minute), g.cashIn(charge.TransactionID).ExpiredAt.UTC(), "the time at which it was due")
}

// The receiver refuses each webhook a few times, so that the attempts of three webhooks are due at
// times that alternate.
func TestWhatIsDueHappensInTheOrderOfItsTimes(t *testing.T) {
	receiver := newReceiver(t, slices.Repeat([]int{503}, 15)...)
	g := start(t, sandbox.WithTime(noon))
	for i := range 3 {
		require.NoError(t, g.PayCashIn(g.newCashIn(fmt.Sprint("order-", i), receiver.URL).TransactionID))
		require.NoError(t, g.Advance(700*time.Millisecond))
	}
	require.NoError(t, g.Advance(72*time.Hour))
	assert.NoError(t, g.WaitWebhooks(cancelled(t)), "all is quiet when Advance returns")

	deliveries := g.Deliveries()
	require.Len(t, deliveries, 3*6)
	byID := make(map[string]int)
	for i, delivery := range deliveries {
		nth := byID[delivery.TransactionID]
		byID[delivery.TransactionID]++
		begun := noon.Add(time.Duration(len(byID)-1) * 700 * time.Millisecond)
		if nth > 0 {
			begun = deliveries[slices.IndexFunc(deliveries, func(d sandbox.Delivery) bool {
				return d.TransactionID == delivery.TransactionID && d.Attempt == nth
			})].Time.Add(time.Second << (nth - 1))
		}
		assert.Equal(t, begun, delivery.Time, "exactly when it was due")
		if i > 0 {
			assert.False(t, delivery.Time.Before(deliveries[i-1].Time), "in order")
		}
	}
}
