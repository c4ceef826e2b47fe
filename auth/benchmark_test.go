package auth_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/gen"
)

// held is a source that has a token.
func held(tb testing.TB) *auth.ClientCredentials {
	client, err := gen.NewClient("https://gateway.test", gen.WithHTTPClient(doer{http.StatusOK, `{"accessToken":"a.b.c","expiresIn":3600}`}))
	if err != nil {
		tb.Fatal(err)
	}
	source := auth.NewClientCredentials(client, "1024", auth.NewSecret("secret"))
	if _, err := source.Token(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return source
}

// BenchmarkToken sets the reading of a token beside the least that can tell whether one lives.
func BenchmarkToken(b *testing.B) {
	b.Run("byHand", func(b *testing.B) {
		type lease struct {
			token string
			until time.Time
		}
		var current atomic.Pointer[lease]
		current.Store(&lease{"a.b.c", time.Now().Add(time.Hour)})
		b.ReportAllocs()
		for b.Loop() {
			if !time.Now().Before(current.Load().until) {
				b.Fatal("the token has ended")
			}
		}
	})
	b.Run("auth", func(b *testing.B) {
		source := held(b)
		ctx := b.Context()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := source.Token(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestReadingATokenAllocatesNothing(t *testing.T) {
	source := held(t)
	if n := testing.AllocsPerRun(100, func() { _, _ = source.Token(t.Context()) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
