package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/bench/gateway"
)

// TestMain is the gateway's main function too.
func TestMain(m *testing.M) {
	gateway.Serve()
	os.Exit(m.Run())
}

func TestEveryFigureHasPoints(t *testing.T) {
	out := filepath.Join(t.TempDir(), "growth.tsv")
	require.NoError(t, grow(plan{
		levels:  []int{4, 16},
		service: time.Millisecond,
		load:    50 * time.Millisecond,
		life:    time.Second,
		issue:   10 * time.Millisecond,
		renewal: 2 * time.Second,
		calls:   100,
	}, out))
	points, err := os.ReadFile(out)
	require.NoError(t, err)
	for _, beginning := range []string{
		"throughput\tfloor\t4\t", "throughput\tconnectpsp\t4\t", "overhead\tfloor p50\t4\t", "overhead\tconnectpsp p99.9\t4\t",
		"connections\tconnectpsp\t4\t", "in-flight\tfloor\t16\t", "renewal\tfloor\t0\t", "renewal\tconnectpsp\t0\t", "renewal\trenewal\t",
		"soak\tmemory, MiB\t100\t", "soak\tgoroutines\t0\t",
	} {
		assert.Contains(t, "\n"+string(points), "\n"+beginning)
	}
}
