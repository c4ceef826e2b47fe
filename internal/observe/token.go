package observe

import (
	"context"
	"sync/atomic"
)

// TokenFlight is a single flight of a token source. It has the number of its request once there is
// one.
type TokenFlight struct{ number atomic.Int64 }

// TokenWait has the number of the request for a token that a call has waited for.
type TokenWait struct{ number atomic.Int64 }

// Number returns the number, 0 if the call waited for none.
func (w *TokenWait) Number() int64 { return w.number.Load() }

type (
	flightKey struct{ Own }
	waitKey   struct{ Own }
)

// WithFlight returns the context of a flight.
func WithFlight(ctx context.Context, flight *TokenFlight) context.Context {
	return context.WithValue(ctx, flightKey{}, flight)
}

// NumberTokenRequest gives the flight of a context its number.
func NumberTokenRequest(ctx context.Context, number int64) {
	if flight, _ := ctx.Value(flightKey{}).(*TokenFlight); flight != nil {
		flight.number.Store(number)
	}
}

// WithTokenWait returns a context for a call that may wait for a token.
func WithTokenWait(ctx context.Context, wait *TokenWait) context.Context {
	return context.WithValue(ctx, waitKey{}, wait)
}

// WaitedFor notes that the call of a context has waited for a flight.
func WaitedFor(ctx context.Context, flight *TokenFlight) {
	if wait, _ := ctx.Value(waitKey{}).(*TokenWait); wait != nil {
		wait.number.Store(flight.number.Load())
	}
}
