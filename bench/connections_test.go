package bench

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/bench/caller"
	"github.com/connectpsp/connectpsp-go/bench/gateway"
)

// Every burst needs as many connections as there are goroutines, because the gateway accepts none
// before all have arrived. A transport that keeps fewer opens some anew each time.
// BenchmarkLoopbackCashOut64 counts them where calls follow one another.
func TestBurstsReuseConnections(t *testing.T) {
	server := start(t, gateway.Settings{})
	client, err := caller.SDK(server.URL, nil)
	require.NoError(t, err)
	_, err = client.CashOut(t.Context(), "the-first")
	require.NoError(t, err)
	for burst := range 20 {
		require.NoError(t, server.Hold())
		var payments sync.WaitGroup
		for goroutine := range concurrent {
			payments.Go(func() {
				_, err := client.CashOut(t.Context(), fmt.Sprintf("burst-%d-%d", burst, goroutine))
				assert.NoError(t, err)
			})
		}
		require.Eventually(t, func() bool {
			counts, err := server.Counts()
			return err == nil && counts.Waiting == concurrent
		}, 20*time.Second, time.Millisecond)
		require.NoError(t, server.Release())
		payments.Wait()
	}
	assert.LessOrEqual(t, opened(t, server), 2*concurrent, "twenty bursts")
}
