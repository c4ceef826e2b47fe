package bench

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/bench/gateway"
	"github.com/connectpsp/connectpsp-go/gen"
)

// BenchmarkTokenRead measures the cost of a token that is cached.
func BenchmarkTokenRead(b *testing.B) {
	b.Run("floor", func(b *testing.B) {
		held := newHeldToken()
		b.ReportAllocs()
		for b.Loop() {
			held.read()
		}
	})
	b.Run("connectpsp", func(b *testing.B) {
		readTokens(b, newSource(b, new(gateway.Memory)))
	})
	b.Run("renewing", func(b *testing.B) {
		readTokens(b, newRenewingSource(b))
	})
}

// BenchmarkTokenRead64 measures the same for many goroutines.
func BenchmarkTokenRead64(b *testing.B) {
	b.Run("floor", func(b *testing.B) {
		held := newHeldToken()
		b.ReportAllocs()
		b.SetParallelism(parallelism(concurrent))
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				held.read()
			}
		})
	})
	b.Run("connectpsp", func(b *testing.B) {
		source := newSource(b, new(gateway.Memory))
		b.ReportAllocs()
		b.SetParallelism(parallelism(concurrent))
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := source.Token(b.Context()); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

func readTokens(b *testing.B, source *auth.ClientCredentials) {
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := source.Token(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

// heldToken is the least that a program can do: it reads a pointer and the clock.
type heldToken struct {
	current atomic.Pointer[struct {
		text   string
		endsAt time.Time
	}]
}

func newHeldToken() *heldToken {
	held := new(heldToken)
	held.current.Store(&struct {
		text   string
		endsAt time.Time
	}{"token", time.Now().Add(time.Hour)})
	return held
}

// read is not inlined, because the method of the SDK is not.
//
//go:noinline
func (h *heldToken) read() string {
	current := h.current.Load()
	if !time.Now().Before(current.endsAt) {
		return ""
	}
	return current.text
}

// newSource returns a source that holds a token.
func newSource(b *testing.B, transport http.RoundTripper) *auth.ClientCredentials {
	client, err := gen.NewClient("http://127.0.0.1", gen.WithHTTPClient(&http.Client{Transport: transport}))
	require.NoError(b, err)
	source := auth.NewClientCredentials(client, "1024", auth.NewSecret("client-secret"))
	_, err = source.Token(b.Context())
	require.NoError(b, err)
	return source
}

// newRenewingSource returns a source that is renewing its token.
func newRenewingSource(b *testing.B) *auth.ClientCredentials {
	issuer := &slowIssuer{begun: make(chan struct{})}
	source := newSource(b, issuer)
	for {
		_, err := source.Token(b.Context())
		require.NoError(b, err)
		select {
		case <-issuer.begun:
			return source
		case <-time.After(time.Millisecond):
		}
	}
}

// slowIssuer issues a token that lives for [shortLife], and takes nearly as long to issue the next.
type slowIssuer struct {
	memory gateway.Memory
	asked  atomic.Int32
	begun  chan struct{} // closed when the second token is requested
	issued time.Time     // the first
}

// shortLife leaves the source half a second or more between the start of the renewal and expiry.
const shortLife = 4 * time.Second

func (s *slowIssuer) RoundTrip(request *http.Request) (*http.Response, error) {
	switch s.asked.Add(1) {
	case 1:
		s.issued = time.Now()
		return gateway.Token(request, shortLife), nil
	case 2:
		close(s.begun)
		time.Sleep(time.Until(s.issued.Add(shortLife - 50*time.Millisecond)))
	}
	return s.memory.RoundTrip(request)
}
