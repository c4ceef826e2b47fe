package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/bench/gateway"
)

// TestMain is the gateway's main function, too.
func TestMain(m *testing.M) {
	gateway.Serve()
	os.Exit(m.Run())
}

func TestEverySeriesOfEveryFigureIsMeasured(t *testing.T) {
	measured, err := grow(plan{
		levels:  []int{4, 16},
		service: time.Millisecond,
		load:    50 * time.Millisecond,
		life:    time.Second,
		issue:   10 * time.Millisecond,
		renewal: 2 * time.Second,
		calls:   100,
	})
	require.NoError(t, err)
	count := map[string]int{}
	for _, point := range measured {
		count[point.Figure+": "+point.Series]++
	}
	renewals := count["renewal: token renewal"]
	delete(count, "renewal: token renewal")
	assert.GreaterOrEqual(t, renewals, 4, "a box is four points")
	assert.Equal(t, map[string]int{
		"throughput: floor": 2, "throughput: connectpsp": 2,
		"overhead: floor, median": 2, "overhead: floor, 99 %": 2, "overhead: floor, 99.9 %": 2,
		"overhead: connectpsp, median": 2, "overhead: connectpsp, 99 %": 2, "overhead: connectpsp, 99.9 %": 2,
		"connections: floor": 2, "connections: connectpsp": 2,
		"in-flight: floor": 1, "in-flight: connectpsp": 1,
		"renewal: floor": 20, "renewal: connectpsp": 20,
		"soak: memory, MiB": 101, "soak: goroutines": 101,
	}, count)
}
