package connectpsp_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// outage returns a gateway that answers 503 while down is set, and the number of requests it got.
func outage(t *testing.T) (gateway *gateway, requests *atomic.Int32, down *atomic.Bool) {
	requests, down = new(atomic.Int32), new(atomic.Bool)
	gateway = newGateway(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if down.Load() {
			html(503)(w, r)
			return
		}
		replyJSON(200, balanceAnswer)(w, r)
	})
	return gateway, requests, down
}

// A gateway that answers nothing but 503 gets at most a hundred requests more than there are calls,
// however long the outage lasts.
func TestAnOutageIsNotMadeWorseByRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway, requests, down := outage(t)
		client := gateway.memoryClient()
		down.Store(true)
		const calls = 2000
		for n := range calls {
			_, err := client.GetBalance(t.Context())
			require.Error(t, err)
			if n == 30 {
				assert.EqualValues(t, 4*31, requests.Load(), "at first every call is repeated as the policy says")
			}
		}
		assert.EqualValues(t, calls+100, requests.Load())

		_, err := client.CreateCashOut(t.Context(), cashOutRequest())
		assert.Equal(t, unknown, outcomeOf(err))
		assert.ErrorContains(t, err, "too many calls of this client fail, so it was not repeated")
		down.Store(false)
		for range 10 {
			_, err = client.GetBalance(t.Context())
			require.NoError(t, err)
		}
		down.Store(true)
		requests.Store(0)
		_, err = client.GetBalance(t.Context())
		require.Error(t, err)
		assert.EqualValues(t, 3, requests.Load(), "ten calls that succeed earn two retries")
	})
}

// A 429 refills no tokens, and successes fill the bucket only up to its capacity.
func TestRetriesStayBoundedUnderARateLimitEvenAfterManySuccesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status, requests := 200, 0
		client := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			requests++
			if status == 200 {
				replyJSON(200, balanceAnswer)(w, r)
				return
			}
			problem(status, "RATE_LIMITED")(w, r)
		}).memoryClient()
		for range 1000 {
			_, err := client.GetBalance(t.Context())
			require.NoError(t, err)
		}
		status, requests = 429, 0
		for range 500 {
			_, err := client.GetBalance(t.Context())
			require.Error(t, err)
		}
		assert.Equal(t, 600, requests)
	})
}

// Every call fails once and then succeeds, and none is given up.
func TestCallsThatSucceedOnRetryNeverExhaustTheRetryBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		client := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1)%2 == 1 {
				html(503)(w, r)
				return
			}
			replyJSON(200, balanceAnswer)(w, r)
		}).memoryClient()
		for range 1000 {
			_, err := client.GetBalance(t.Context())
			require.NoError(t, err)
		}
	})
}

// A rejection shows that the gateway works: only failures take tokens.
func TestARejectionRefillsTheRetryBudgetLikeASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := 503
		requests := 0
		client := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			requests++
			problem(status, "X")(w, r)
		}).memoryClient()
		for range 200 {
			_, err := client.GetBalance(t.Context())
			require.Error(t, err)
		}
		require.Equal(t, 300, requests)
		status = 404
		for range 5 {
			_, err := client.GetBalance(t.Context())
			require.Error(t, err)
		}
		status, requests = 503, 0
		_, err := client.GetBalance(t.Context())
		require.Error(t, err)
		assert.Equal(t, 2, requests, "five refusals earn a retry")
	})
}

// A gateway that is too slow to respond is overloaded.
func TestARetryAfterATimeoutCostsTwiceAsMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newGateway(t, silence)
		client := gateway.memoryClient()
		for range 100 {
			_, err := client.GetBalance(t.Context())
			require.Error(t, err)
		}
		assert.Len(t, gateway.requests(), 150)
	})
}

// Other calls may have succeeded since the retry took its tokens, and may have refilled the bucket.
func TestASuccessfulRetryReturnsNoMoreTokensThanItTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers, requests, down := outage(t)
		answer, slow := answers.steps[0], atomic.Int32{}
		client := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			switch slow.Add(1) {
			case 1:
				silence(w, r)
				return
			case 2:
				time.Sleep(10 * time.Second)
			}
			answer(w, r)
		}).memoryClient()
		go func() { _, _ = client.GetBalance(t.Context()) }()
		time.Sleep(35 * time.Second)
		for range 8 {
			_, err := client.GetBalance(t.Context())
			require.NoError(t, err)
		}
		time.Sleep(time.Minute)
		down.Store(true)
		requests.Store(0)
		const calls = 200
		for range calls {
			_, err := client.GetBalance(t.Context())
			require.Error(t, err)
		}
		assert.EqualValues(t, calls+100, requests.Load())
	})
}
