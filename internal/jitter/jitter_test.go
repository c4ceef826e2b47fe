package jitter_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/connectpsp/connectpsp-go/internal/jitter"
)

func TestEveryWaitUpToTheBoundIsAsLikely(t *testing.T) {
	const draws, bound = 100_000, 4 // a deviation of 1,000 is eight times the standard deviation
	var drawn [bound + 1]int
	for range draws {
		drawn[jitter.Draw(t.Context(), bound)]++
	}
	for wait, n := range drawn {
		assert.InDelta(t, draws/len(drawn), n, draws/100, "a wait of %d", wait)
	}
	assert.Zero(t, jitter.Draw(t.Context(), 0))
}

func TestTheSourceOfAContextAndItsChildrenIsAsked(t *testing.T) {
	ctx, cancel := context.WithCancel(jitter.With(t.Context(), func(bound time.Duration) time.Duration { return bound / 2 }))
	defer cancel()
	assert.Equal(t, time.Minute, jitter.Draw(ctx, 2*time.Minute))
	assert.Equal(t, time.Minute, jitter.Draw(context.WithoutCancel(ctx), 2*time.Minute))
}
