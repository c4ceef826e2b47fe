package bench

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/bench/caller"
	"github.com/connectpsp/connectpsp-go/bench/gateway"
)

// concurrent is the number of goroutines of the benchmarks whose names end in 64.
const concurrent = 64

// pay is a function of a [caller.Caller].
type pay func(ctx context.Context, reference string) (internalCode string, err error)

func cashOut(c *caller.Caller) pay { return c.CashOut }
func cashIn(c *caller.Caller) pay  { return c.CashIn }

func BenchmarkMemoryCashOut(b *testing.B)   { inMemory(b, cashOut, oneByOne) }
func BenchmarkMemoryCashOut64(b *testing.B) { inMemory(b, cashOut, together) }
func BenchmarkMemoryCashIn64(b *testing.B)  { inMemory(b, cashIn, together) }

func BenchmarkMemoryCashIn(b *testing.B) {
	inMemory(b, cashIn, oneByOne)
	b.Run("mercadopago", func(b *testing.B) { oneByOne(b, mercadoPago(b)) })
}

func BenchmarkLoopbackCashOut(b *testing.B)   { overLoopback(b, cashOut, oneByOne) }
func BenchmarkLoopbackCashIn(b *testing.B)    { overLoopback(b, cashIn, oneByOne) }
func BenchmarkLoopbackCashOut64(b *testing.B) { overLoopback(b, cashOut, together) }
func BenchmarkLoopbackCashIn64(b *testing.B)  { overLoopback(b, cashIn, together) }

// BenchmarkSigning compares an unsigned operation with a signed one of the same size both ways.
func BenchmarkSigning(b *testing.B) {
	for _, kind := range []struct {
		name      string
		operation func(*caller.Caller) pay
	}{{"unsigned", cashIn}, {"signed", cashOut}} {
		b.Run(kind.name, func(b *testing.B) {
			client, err := caller.SDK("http://127.0.0.1", &gateway.Memory{CashIn: gateway.CashInResponse})
			require.NoError(b, err)
			oneByOne(b, kind.operation(client))
		})
	}
}

func inMemory(b *testing.B, operation func(*caller.Caller) pay, measure func(*testing.B, pay)) {
	for _, maker := range caller.Makers {
		b.Run(maker.Name, func(b *testing.B) {
			client, err := maker.New("http://127.0.0.1", new(gateway.Memory))
			require.NoError(b, err)
			measure(b, operation(client))
		})
	}
}

func overLoopback(b *testing.B, operation func(*caller.Caller) pay, measure func(*testing.B, pay)) {
	server := start(b, gateway.Settings{})
	for _, maker := range caller.Makers {
		b.Run(maker.Name, func(b *testing.B) {
			before := opened(b, server)
			client, err := maker.New(server.URL, nil)
			require.NoError(b, err)
			measure(b, operation(client))
			b.ReportMetric(float64(opened(b, server)-before), "connections")
		})
	}
}

func start(tb testing.TB, settings gateway.Settings) *gateway.Process {
	server, err := gateway.Start(settings)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, server.Close()) })
	return server
}

func opened(tb testing.TB, server *gateway.Process) int {
	counts, err := server.Counts()
	require.NoError(tb, err)
	return counts.Opened
}

// oneByOne measures payments one after the other. The first fetches the token, and is not measured.
func oneByOne(b *testing.B, pay pay) {
	first(b, pay)
	var references references
	b.ReportAllocs()
	before := processorTime()
	for b.Loop() {
		if _, err := pay(b.Context(), references.next()); err != nil {
			b.Fatal(err)
		}
	}
	reportProcessor(b, before)
}

// together measures payments of many goroutines. Their connections are open before it measures.
func together(b *testing.B, pay pay) {
	first(b, pay)
	var warm sync.WaitGroup
	for goroutine := range concurrent {
		warm.Go(func() {
			references := references{goroutine: -int64(goroutine)}
			for range 4 {
				if _, err := pay(b.Context(), references.next()); err != nil {
					b.Error(err)
				}
			}
		})
	}
	warm.Wait()
	var goroutines atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(parallelism(concurrent))
	before := processorTime()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		references := references{goroutine: goroutines.Add(1)}
		for pb.Next() {
			if _, err := pay(b.Context(), references.next()); err != nil {
				b.Error(err)
				return
			}
		}
	})
	reportProcessor(b, before)
}

// reportProcessor reports the processor time of a payment, garbage collection included.
func reportProcessor(b *testing.B, before time.Duration) {
	if spent := processorTime() - before; spent > 0 {
		b.ReportMetric(float64(spent)/float64(b.N), "cpu-ns/op")
	}
}

func first(b *testing.B, pay pay) {
	_, err := pay(b.Context(), "the-first")
	require.NoError(b, err)
}
