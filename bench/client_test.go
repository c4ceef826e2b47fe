package bench

import (
	"net/http"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/bench/caller"
	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// BenchmarkIdleClient measures the cost of a client that makes no call. The benchmark keeps all of
// its clients to the end. The metric "retained" is the memory of each.
func BenchmarkIdleClient(b *testing.B) {
	b.Run("floor", func(b *testing.B) {
		keep(b, func() (*http.Client, error) {
			return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}, nil
		})
	})
	b.Run("connectpsp", func(b *testing.B) {
		config := caller.Config("https://api.example.com")
		keep(b, func() (*connectpsp.Client, error) { return connectpsp.New(config) })
	})
}

func keep[T any](b *testing.B, make func() (T, error)) {
	var kept []T
	before := heap()
	b.ReportAllocs()
	for b.Loop() {
		client, err := make()
		require.NoError(b, err)
		kept = append(kept, client)
	}
	b.ReportMetric(float64(heap()-before)/float64(len(kept)), "retained")
	runtime.KeepAlive(kept)
}

// heap returns how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
