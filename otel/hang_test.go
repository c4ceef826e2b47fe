package connectpspotel_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	connectpspotel "github.com/connectpsp/connectpsp-go/otel"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/webhook"
)

const (
	hang    = 10 * time.Second
	latency = 200 * time.Millisecond
)

// hanging is a SimpleSpanProcessor whose exporter takes ten seconds for each span. Its lock is a
// channel, so that time goes on in a bubble while spans wait for it.
type hanging struct{ lock chan struct{} }

func newHanging() hanging { return hanging{make(chan struct{}, 1)} }

func (hanging) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

func (h hanging) OnEnd(sdktrace.ReadOnlySpan) {
	h.lock <- struct{}{}
	time.Sleep(hang)
	<-h.lock
}

func (hanging) Shutdown(context.Context) error { return nil }

func (hanging) ForceFlush(context.Context) error { return nil }

func TestAnExporterThatHangsDelaysNoPaymentsAndTakesNoCountsAway(t *testing.T) {
	for name, workers := range map[string]int{"one at a time": 1, "64 at a time": 64} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				free := payments(t, workers, nil)
				tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(newHanging()))
				reader := sdkmetric.NewManualReader()
				observer := connectpspotel.New(connectpspotel.WithTracerProvider(tracers),
					connectpspotel.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))
				observer.WatchInbox(inbox(func(context.Context) (webhook.InboxState, error) {
					time.Sleep(hang)
					return webhook.InboxState{}, errors.New("no connection")
				}))
				collected := make(chan struct{})
				go func() {
					defer close(collected)
					for begun := time.Now(); time.Since(begun) < 30*time.Second; {
						assert.NoError(t, reader.Collect(context.Background(), new(metricdata.ResourceMetrics)))
					}
				}()
				observed := payments(t, workers, observer)
				<-collected

				assert.LessOrEqual(t, percentile(observed, 0.99), percentile(free, 0.99)*105/100)
				assert.LessOrEqual(t, percentile(observed, 1)-percentile(free, 1), 50*time.Millisecond, "each waits once at most")
				tel := telemetry{metrics: reader}
				counts := tel.collect(t)
				assert.EqualValues(t, len(observed), counts[`client.calls{operation="createCashOut",outcome="accepted"}`])
				assert.EqualValues(t, len(observed)+1, counts[`client.attempts{outcome="accepted"}`])
				time.Sleep(time.Hour) // the spans that wait are exported
			})
		})
	}
}

// faulty is a processor with a bug.
type faulty struct{ hanging }

func (faulty) OnEnd(sdktrace.ReadOnlySpan) { panic("a bug") }

func TestAProcessorThatPanicsChangesNoPaymentAndTakesNoCountsAway(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	observer := connectpspotel.New(
		connectpspotel.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(faulty{}))),
		connectpspotel.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))
	_, err := newClient(t, startSandbox(t), connectpsp.WithObserver(observer)).CreateCashOut(t.Context(), withdrawal("w-1"))
	require.NoError(t, err)
	tel := telemetry{metrics: reader}
	assert.EqualValues(t, 1, tel.collect(t)[`client.calls{operation="createCashOut",outcome="accepted"}`])
}

// payments makes payments with some workers for half a minute, and returns how long each took.
func payments(t *testing.T, workers int, observer connectpsp.Observer) (durations []time.Duration) {
	t.Helper()
	gateway, err := sandbox.Start(sandbox.WithMemoryNetwork(), sandbox.WithBalance(pix.Centavos(1_000_000_000), pix.Centavos(0)))
	require.NoError(t, err)
	defer gateway.Close()
	require.NoError(t, gateway.SetLatency(latency))
	client := newClient(t, gateway, connectpsp.WithObserver(observer))
	_, err = client.GetBalance(t.Context()) // fetches the token
	require.NoError(t, err)
	var mu sync.Mutex
	var working sync.WaitGroup
	for worker := range workers {
		working.Go(func() {
			for begun, n := time.Now(), 0; time.Since(begun) < 30*time.Second; n++ {
				start := time.Now()
				_, err := client.CreateCashOut(t.Context(), withdrawal(fmt.Sprintf("w-%d-%d", worker, n)))
				assert.NoError(t, err)
				mu.Lock()
				durations = append(durations, time.Since(start))
				mu.Unlock()
			}
		})
	}
	working.Wait()
	return durations
}

func percentile(durations []time.Duration, p float64) time.Duration {
	sorted := slices.Sorted(slices.Values(durations))
	return sorted[int(math.Ceil(p*float64(len(sorted))))-1]
}

// blocked is an exporter that takes ten seconds for each span, and no longer than the benchmark.
type blocked struct{ over chan struct{} }

func (b blocked) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error {
	select {
	case <-time.After(hang):
	case <-b.over:
	}
	return nil
}

func (blocked) Shutdown(context.Context) error { return nil }

// Its figure is the p99 of payments in real time: make bench-otel.
func BenchmarkPayments(b *testing.B) {
	over := make(chan struct{})
	b.Cleanup(func() { close(over) })
	for _, test := range []struct {
		name    string
		tracers trace.TracerProvider // nil for no observer
	}{
		{"without an observer", nil},
		{"with spans in batches", sdktrace.NewTracerProvider(sdktrace.WithBatcher(tracetest.NewNoopExporter()))},
		{"with an exporter that hangs", sdktrace.NewTracerProvider(sdktrace.WithSyncer(blocked{over}))},
	} {
		b.Run(test.name, func(b *testing.B) {
			gateway, err := sandbox.Start(sandbox.WithBalance(pix.Centavos(1_000_000_000_00), pix.Centavos(0)))
			require.NoError(b, err)
			defer gateway.Close()
			require.NoError(b, gateway.SetLatency(20*time.Millisecond))
			var options []connectpsp.Option
			if test.tracers != nil {
				options = append(options, connectpsp.WithObserver(connectpspotel.New(connectpspotel.WithTracerProvider(test.tracers))))
			}
			client, err := connectpsp.New(gateway.Config(), options...)
			require.NoError(b, err)
			var mu sync.Mutex
			var durations []time.Duration
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					mu.Lock()
					n := len(durations)
					durations = append(durations, 0)
					mu.Unlock()
					begun := time.Now()
					_, err := client.CreateCashOut(b.Context(), withdrawal(fmt.Sprint("w-", n)))
					assert.NoError(b, err)
					mu.Lock()
					durations[n] = time.Since(begun)
					mu.Unlock()
				}
			})
			b.ReportMetric(float64(percentile(durations, 0.99).Microseconds())/1000, "p99-ms")
		})
	}
}
