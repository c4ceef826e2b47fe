// Package jitter draws the random waits between the attempts of a call.
package jitter

import (
	"context"
	"math/rand/v2"
	"time"
)

type sourceKey struct{}

// With returns a context in which [Draw] takes its waits from source, so that a simulation can be
// repeated. Goroutines that share the context share source.
func With(ctx context.Context, source func(bound time.Duration) time.Duration) context.Context {
	return context.WithValue(ctx, sourceKey{}, source)
}

// Draw returns a random wait of at least zero and at most bound, each as likely as any other (full
// jitter). Bound is not negative.
func Draw(ctx context.Context, bound time.Duration) time.Duration {
	if source, ok := ctx.Value(sourceKey{}).(func(time.Duration) time.Duration); ok {
		return source(bound)
	}
	return rand.N(bound + 1)
}
