package webhook_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/webhook"
)

func TestAMemoryInboxForgetsTheOldestThatIsDoneAndNothingElse(t *testing.T) {
	const limit = 100
	r := newReceiverOn(t, webhook.NewSmallMemoryInbox(limit))
	event := func(n int) string {
		p := payment(webhook.StatusCompleted)
		p.id = fmt.Sprintf("p%d", n)
		return p.event(webhook.CashOutCompleted)
	}
	r.receive(t, event(0), event(1))
	for n := 2; n < limit; n++ {
		require.Equal(t, 200, deliver(r, event(n)))
	}
	r.receive(t, event(0))
	assert.EqualValues(t, 1, r.Handler.Counts().Duplicates)
	applied := len(r.books.transitions)
	assert.Equal(t, limit, applied)
	r.receive(t, event(limit))
	r.receive(t, event(1))
	assert.EqualValues(t, 2, r.Handler.Counts().Duplicates)
	r.receive(t, event(0))
	assert.EqualValues(t, 2, r.Handler.Counts().Duplicates, "the oldest is forgotten")
}

func TestAMemoryInboxThatIsFullTakesNothingMore(t *testing.T) {
	const limit = 100
	inbox := webhook.NewSmallMemoryInbox(limit)
	for n := range limit {
		_, err := inbox.Put(t.Context(), webhook.Item{Key: fmt.Sprint(n), Due: time.Now()})
		require.NoError(t, err)
	}
	_, err := inbox.Put(t.Context(), webhook.Item{Key: "one more"})
	assert.ErrorIs(t, err, webhook.ErrInboxFull)
	earlier, err := inbox.Put(t.Context(), webhook.Item{Key: "0"})
	assert.NoError(t, err)
	assert.NotNil(t, earlier, "those that are there are known")
	assert.Equal(t, 503, deliver(newHandler(t, inbox), paid))
}

func TestKeysDistinguishCapitals(t *testing.T) {
	r := newReceiver(t)
	r.receive(t, paid, strings.ReplaceAll(paid, inID, strings.ToLower(inID)))
	assert.EqualValues(t, webhook.Counts{Stored: 2}, r.Handler.Counts())
}
