package sandbox_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestTheClockRunsOnFromTheTimeItIsSetTo(t *testing.T) {
	g := start(t)
	assert.WithinDuration(t, time.Now(), g.Now(), 10*time.Second)
	assert.Equal(t, time.UTC, g.Now().Location())

	newYear := time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	g.SetTime(newYear)
	assert.WithinRange(t, g.Now(), newYear, newYear.Add(10*time.Second))
	g.Advance(-time.Hour)
	assert.WithinRange(t, g.Now(), newYear.Add(-time.Hour), newYear.Add(-time.Hour+10*time.Second))
}

func TestAnExpiredChargeStaysExpiredWhenTheClockGoesBack(t *testing.T) {
	g := start(t)
	charge := g.newCashIn("order-1", "")
	g.Advance(30 * time.Minute)
	g.Advance(-30 * time.Minute)
	assert.False(t, g.cashIn(charge.TransactionID).ExpiredAt.IsZero())
}
