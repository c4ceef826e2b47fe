package measure

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/webhook"
)

func TestTheGaugesAreTheSumsAndTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		var gauges Gauges
		gauges.WatchPayments(reads(connectpsp.OpenPayments{Begun: 1, Sent: 2, Overdue: 1, OldestSentAt: now.Add(-time.Minute)}))
		gauges.WatchPayments(reads(connectpsp.OpenPayments{Begun: 3, Sent: 4, Overdue: 2, OldestSentAt: now.Add(-time.Hour)}))
		gauges.WatchPayments(reads(connectpsp.OpenPayments{}))
		gauges.WatchInbox(reads(webhook.InboxState{Due: 5, Held: 6, OldestDue: now.Add(-time.Second)}))
		gauges.WatchInbox(reads(webhook.InboxState{Due: 1, OldestDue: now.Add(-2 * time.Second)}))
		assert.Equal(t, map[string]float64{
			"connectpsp.payments.open[begun]": 4, "connectpsp.payments.open[sent]": 6,
			"connectpsp.payments.oldest.age[]": 3600, "connectpsp.payments.overdue[]": 3,
			"connectpsp.inbox.due[]": 6, "connectpsp.inbox.held[]": 6, "connectpsp.inbox.lag[]": 2,
		}, read(t, &gauges))
	})
}

func TestAnAgeIsNeverNegative(t *testing.T) {
	for name, oldest := range map[string]time.Time{"none is open": {}, "the database's clock is ahead": time.Now().Add(time.Hour)} {
		t.Run(name, func(t *testing.T) {
			var gauges Gauges
			gauges.WatchPayments(reads(connectpsp.OpenPayments{OldestSentAt: oldest}))
			assert.Zero(t, read(t, &gauges)["connectpsp.payments.oldest.age[]"])
		})
	}
}

func TestOnlyWhatIsWatchedHasGauges(t *testing.T) {
	assert.Empty(t, read(t, new(Gauges)))
}

func TestGaugesThatCannotBeReadAreLeftOutAndCounted(t *testing.T) {
	for name, broken := range map[string]func(context.Context) (connectpsp.OpenPayments, error){
		"an error": func(context.Context) (connectpsp.OpenPayments, error) {
			return connectpsp.OpenPayments{Sent: 1}, errors.New("the database is down")
		},
		"a panic": func(context.Context) (connectpsp.OpenPayments, error) { panic("a broken driver") },
		"too slow": func(ctx context.Context) (connectpsp.OpenPayments, error) {
			<-ctx.Done()
			return connectpsp.OpenPayments{}, ctx.Err()
		},
		"too slow, and without regard for its context": func(context.Context) (connectpsp.OpenPayments, error) {
			time.Sleep(10 * time.Second)
			return connectpsp.OpenPayments{Sent: 1}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var gauges Gauges
				gauges.WatchPayments(reads(connectpsp.OpenPayments{Sent: 2}))
				gauges.WatchPayments(broken)
				gauges.WatchInbox(reads(webhook.InboxState{Due: 5}))
				begun := time.Now()
				assert.Equal(t, map[string]float64{
					"connectpsp.gauge.errors[payments]": 1,
					"connectpsp.inbox.due[]":            5, "connectpsp.inbox.held[]": 0, "connectpsp.inbox.lag[]": 0,
				}, read(t, &gauges))
				assert.LessOrEqual(t, time.Since(begun), 3*time.Second)
				time.Sleep(10 * time.Second) // until each source has returned
			})
		})
	}
}

func TestScrapesOfASourceThatHangsWaitForOneRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var count atomic.Int64
		var gauges Gauges
		gauges.WatchInbox(func(context.Context) (webhook.InboxState, error) {
			count.Add(1)
			time.Sleep(time.Minute)
			return webhook.InboxState{}, nil
		})
		for range 5 {
			assert.Equal(t, map[string]float64{"connectpsp.gauge.errors[inbox]": 1}, read(t, &gauges))
		}
		assert.EqualValues(t, 1, count.Load())
		time.Sleep(time.Minute)
		synctest.Wait()
		read(t, &gauges)
		assert.EqualValues(t, 2, count.Load(), "after the read that hung has returned, the next one begins")
		time.Sleep(time.Minute)
	})
}

// A scraper that leaves must not fail the scrape of another.
func TestAReadGoesOnForAnotherScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gauges Gauges
		gauges.WatchInbox(func(ctx context.Context) (webhook.InboxState, error) {
			time.Sleep(2 * time.Second)
			return webhook.InboxState{Due: 1}, ctx.Err()
		})
		leaving, leave := context.WithCancel(t.Context())
		go gauges.Read(leaving, func(Addition) {})
		synctest.Wait()
		leave()
		assert.Contains(t, read(t, &gauges), "connectpsp.inbox.due[]")
	})
}

func TestTheEndOfAScrapesContextChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gauges Gauges
		gauges.WatchInbox(func(ctx context.Context) (webhook.InboxState, error) {
			time.Sleep(2 * time.Second)
			return webhook.InboxState{Due: 1}, ctx.Err()
		})
		gauges.WatchPayments(func(ctx context.Context) (connectpsp.OpenPayments, error) {
			<-ctx.Done()
			return connectpsp.OpenPayments{}, ctx.Err()
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.Equal(t, map[string]float64{
			"connectpsp.inbox.due[]": 1, "connectpsp.inbox.held[]": 0, "connectpsp.inbox.lag[]": 0,
			"connectpsp.gauge.errors[payments]": 1,
		}, collect(func(each func(Addition)) { gauges.Read(ctx, each) }))
	})
}

func TestAReadHasTheValuesOfTheScrapesContextAndALimitOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var value any
		var limit time.Duration
		var gauges Gauges
		gauges.WatchInbox(func(ctx context.Context) (webhook.InboxState, error) {
			deadline, _ := ctx.Deadline()
			value, limit = ctx.Value(key{}), time.Until(deadline)
			return webhook.InboxState{}, ctx.Err()
		})
		left, leave := context.WithCancel(context.WithValue(t.Context(), key{}, "of the scrape"))
		leave()
		gauges.Read(left, func(Addition) {})
		synctest.Wait()
		assert.Equal(t, "of the scrape", value)
		assert.Equal(t, 3*time.Second, limit)
	})
}

// A source that ignores its context would else show what was true before the scrape began.
func TestAValueThatComesTooLateIsNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var held, duration atomic.Int64
		var gauges Gauges
		gauges.WatchInbox(func(context.Context) (webhook.InboxState, error) {
			now := int(held.Load())
			time.Sleep(time.Duration(duration.Load()))
			return webhook.InboxState{Held: now}, nil
		})
		duration.Store(int64(7 * time.Second))
		failed := map[string]float64{"connectpsp.gauge.errors[inbox]": 1}
		assert.Equal(t, failed, read(t, &gauges))
		held.Store(7)
		duration.Store(int64(2 * time.Second))
		time.Sleep(3900 * time.Millisecond)
		assert.Equal(t, failed, read(t, &gauges), "the read that began 6.9 seconds ago goes on")
		time.Sleep(time.Second)
		assert.EqualValues(t, 7, read(t, &gauges)["connectpsp.inbox.held[]"])
	})
}

// reads returns a source that returns a value.
func reads[T any](value T) func(context.Context) (T, error) {
	return func(context.Context) (T, error) { return value, nil }
}

func read(t *testing.T, gauges *Gauges) map[string]float64 {
	t.Helper()
	return collect(func(each func(Addition)) { gauges.Read(t.Context(), each) })
}
