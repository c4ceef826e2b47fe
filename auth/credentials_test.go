package auth_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
)

func TestNoTokenIsRequestedBeforeTheFirstCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := newIssuer(t)
		source := issuer.source(t)
		synctest.Wait()
		assert.Empty(t, issuer.requests())
		assert.Equal(t, "token-1", token(t, source))
		assert.Len(t, issuer.requests(), 1)
	})
}

func TestConcurrentCallersShareOneTokenRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step, release := hold(issue("token-1", 3600))
		issuer := newIssuer(t, step)
		source := issuer.source(t)
		var group sync.WaitGroup
		for range 200 {
			group.Go(func() { assert.Equal(t, "token-1", token(t, source)) })
		}
		synctest.Wait()
		assert.Len(t, issuer.requests(), 1)
		close(release)
		group.Wait()
		for range 200 {
			group.Go(func() { assert.Equal(t, "token-1", token(t, source)) })
		}
		group.Wait()
		assert.Len(t, issuer.requests(), 1, "a token was held and another was asked for")
	})
}

func TestWaitersOfAFailedRequestShareItsFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step, release := hold(fail)
		issuer := newIssuer(t, step)
		source := issuer.source(t)
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() { assert.Equal(t, http.StatusInternalServerError, tokenError(t, source).StatusCode) })
		}
		synctest.Wait()
		close(release)
		group.Wait()
		assert.Len(t, issuer.requests(), 1)
	})
}

func TestACallerStopsWaitingWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := newIssuer(t, slow(10*time.Second, issue("token-1", 3600)))
		source := issuer.source(t)
		var group sync.WaitGroup
		start := time.Now()
		group.Go(func() {
			assert.Equal(t, "token-1", token(t, source))
			assert.Equal(t, 10*time.Second, time.Since(start))
		})
		group.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := source.Token(ctx)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, 50*time.Millisecond, time.Since(start))
		})
		group.Wait()
		assert.Len(t, issuer.requests(), 1)
	})
}

func TestTheFirstCallersCancellationDoesNotHarmTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step, release := hold(issue("token-1", 3600))
		issuer := newIssuer(t, step)
		source := issuer.source(t)
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			_, err := source.Token(ctx)
			assert.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait()
		group.Go(func() { assert.Equal(t, "token-1", token(t, source)) })
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(release)
		group.Wait()
		assert.Len(t, issuer.requests(), 1)
	})
}

func TestATokenRequestOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := newIssuer(t, slow(time.Second, issue("token-1", 3600)))
		source := issuer.source(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := source.Token(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		time.Sleep(time.Minute)
		assert.Equal(t, "token-1", token(t, source))
		assert.Len(t, issuer.requests(), 1)
	})
}

func TestACallerWhoseContextHasEndedRequestsNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := newIssuer(t)
		source := issuer.source(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := source.Token(ctx)
		assert.ErrorIs(t, err, context.Canceled)
		synctest.Wait()
		assert.Empty(t, issuer.requests())

		token(t, source)
		_, err = source.Token(ctx)
		assert.NoError(t, err, "a token that is held costs no wait")
	})
}

func TestATokenRequestTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step, _ := hold(nil)
		issuer := newHostileIssuer(t, step)
		source := issuer.source(t)
		start := time.Now()
		failure := tokenError(t, source)
		assert.Equal(t, 30*time.Second, time.Since(start))
		assert.ErrorIs(t, failure, context.DeadlineExceeded)
		assert.True(t, failure.Temporary())
		assert.Equal(t, "token-2", token(t, source))
	})
}

func TestALifetimeCountsFromReceiptWhateverTheServersClock(t *testing.T) {
	for _, issuedAt := range []string{"1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2000-01-01T00:00:00-03:00"} {
		synctest.Test(t, func(t *testing.T) {
			body := `{"accessToken":"token-1","tokenType":"Bearer","expiresIn":3600,"issuedAt":"` + issuedAt + `"}`
			// The response takes long, and the lifetime begins when it has arrived.
			issuer := newIssuer(t, slow(20*time.Second, reply(http.StatusOK, "application/json", body)))
			issuer.then(many(2000, fail)...)
			source := issuer.source(t)
			assert.Equal(t, "token-1", token(t, source))
			time.Sleep(time.Hour - 1)
			assert.Equal(t, "token-1", token(t, source))
			time.Sleep(time.Nanosecond)
			tokenError(t, source)
		})
	}
}

func many(n int, step http.HandlerFunc) []http.HandlerFunc {
	steps := make([]http.HandlerFunc, n)
	for i := range steps {
		steps[i] = step
	}
	return steps
}

func TestATokenIsRenewedInTheBackgroundInItsLastQuarter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step, release := hold(issue("token-2", 3600))
		issuer := newIssuer(t, issue("token-1", 3600), step)
		source := issuer.source(t)
		start := time.Now()
		for len(issuer.requests()) < 2 {
			require.Less(t, time.Since(start), time.Hour, "it was not renewed")
			assert.Equal(t, "token-1", token(t, source))
			synctest.Wait()
			time.Sleep(time.Second)
		}
		renewed := issuer.requests()[1].Sub(start)
		assert.GreaterOrEqual(t, renewed, 45*time.Minute)
		assert.LessOrEqual(t, renewed, time.Hour-time.Hour/8+time.Second)

		// While the renewal is under way no call waits for it or starts another.
		before := time.Now()
		for range 50 {
			assert.Equal(t, "token-1", token(t, source))
		}
		assert.Zero(t, time.Since(before))
		time.Sleep(7 * time.Second)
		assert.Equal(t, "token-1", token(t, source))
		synctest.Wait()
		assert.Len(t, issuer.requests(), 2)

		close(release)
		synctest.Wait()
		assert.Equal(t, "token-2", token(t, source))
		assert.Len(t, issuer.requests(), 2)
	})
}

func TestSourcesRenewAtDifferentTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		moments := map[time.Duration]bool{}
		for range 5 {
			issuer := newIssuer(t)
			source := issuer.source(t)
			token(t, source)
			start := time.Now()
			for len(issuer.requests()) < 2 {
				require.Less(t, time.Since(start), time.Hour)
				time.Sleep(time.Second)
				token(t, source)
				synctest.Wait()
			}
			moments[issuer.requests()[1].Sub(start)] = true
		}
		assert.Greater(t, len(moments), 1, "five sources renewed in the same second of their lives")
	})
}

func TestAFailedRenewalKeepsTheOldTokenUntilItExpires(t *testing.T) {
	for name, failed := range map[string]http.HandlerFunc{"gateway down": fail, "credentials withdrawn": refuse} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := newIssuer(t, issue("token-1", 3600))
				issuer.then(many(2000, failed)...)
				source := issuer.source(t)
				token(t, source)
				start := time.Now()
				for time.Since(start) < time.Hour-time.Second {
					before := time.Now()
					require.Equal(t, "token-1", token(t, source))
					require.Zero(t, time.Since(before), "a caller waited while the old token lived")
					time.Sleep(time.Second)
				}
				asked := issuer.requests()
				assert.Greater(t, len(asked), 50, "it was not tried again")
				for i := 2; i < len(asked); i++ {
					assert.GreaterOrEqual(t, asked[i].Sub(asked[i-1]), 5*time.Second)
				}
				time.Sleep(time.Second)
				tokenError(t, source)
			})
		})
	}
}

func TestAFailedRenewalIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := newIssuer(t, issue("token-1", 3600), fail, refuse)
		source := issuer.source(t)
		token(t, source)
		time.Sleep(55 * time.Minute)
		for range 3 {
			assert.Equal(t, "token-1", token(t, source))
			time.Sleep(5 * time.Second)
		}
		assert.Equal(t, "token-4", token(t, source))
	})
}

func TestCallersWaitOnlyForAnExpiredToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := newIssuer(t, issue("token-1", 3600), slow(10*time.Second, issue("token-2", 3600)))
		source := issuer.source(t)
		token(t, source)
		time.Sleep(time.Hour - 3*time.Second)
		before := time.Now()
		assert.Equal(t, "token-1", token(t, source), "the renewal has begun only now")
		assert.Zero(t, time.Since(before))

		time.Sleep(3 * time.Second) // the token ends while its renewal is under way
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() { assert.Equal(t, "token-2", token(t, source)) })
		}
		group.Wait()
		assert.Equal(t, 10*time.Second, time.Since(before))
		assert.Len(t, issuer.requests(), 2)
	})
}

func TestInvalidateDropsExactlyThatToken(t *testing.T) {
	issuer := newIssuer(t)
	source := issuer.source(t)
	source.Invalidate(auth.NewSecret("token-1")) // nothing is held yet
	source.Invalidate(auth.Secret{})
	assert.Equal(t, "token-1", token(t, source))

	source.Invalidate(auth.NewSecret("token-0"))
	source.Invalidate(auth.Secret{})
	assert.Equal(t, "token-1", token(t, source))
	assert.Len(t, issuer.requests(), 1)

	source.Invalidate(auth.NewSecret("token-1"))
	assert.Equal(t, "token-2", token(t, source))
	source.Invalidate(auth.NewSecret("token-1")) // the 401 of a request that was slow
	assert.Equal(t, "token-2", token(t, source))
	assert.Len(t, issuer.requests(), 2)
}

func TestCallersRefusedTheSameTokenShareOneNewRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step, release := hold(issue("token-2", 3600))
		issuer := newIssuer(t, issue("token-1", 3600), step)
		source := issuer.source(t)
		refused, err := source.Token(t.Context())
		require.NoError(t, err)
		var group sync.WaitGroup
		for range 64 {
			group.Go(func() {
				source.Invalidate(refused)
				assert.Equal(t, "token-2", token(t, source))
				source.Invalidate(refused)
				assert.Equal(t, "token-2", token(t, source))
			})
		}
		synctest.Wait()
		close(release)
		group.Wait()
		assert.Len(t, issuer.requests(), 2)
	})
}

func TestInvalidateDuringARenewalWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := newIssuer(t, issue("token-1", 3600), slow(time.Second, issue("token-2", 3600)))
		source := issuer.source(t)
		token(t, source)
		time.Sleep(55 * time.Minute)
		old, err := source.Token(t.Context()) // starts the renewal
		require.NoError(t, err)
		synctest.Wait()
		source.Invalidate(old)
		assert.Equal(t, "token-2", token(t, source))
		assert.Len(t, issuer.requests(), 2)
	})
}

func TestRefusedCredentialsAreRememberedForFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := newIssuer(t, slow(time.Second, refuse))
		source := issuer.source(t)
		for range 5 {
			failure := tokenError(t, source)
			assert.False(t, failure.Temporary())
			assert.Equal(t, http.StatusUnauthorized, failure.StatusCode)
			assert.Equal(t, "INVALID_CREDENTIALS", failure.Code)
			assert.Equal(t, "Title", failure.Title)
			assert.Equal(t, "https://errors.test/x", failure.Type)
			assert.Equal(t, "Detail of Maria Silva", failure.Detail)
			assert.NotContains(t, failure.Error(), "Maria")
		}
		time.Sleep(5*time.Second - 1)
		tokenError(t, source)
		assert.Len(t, issuer.requests(), 1)
		time.Sleep(time.Nanosecond)
		assert.Equal(t, "token-2", token(t, source))
	})
}

func TestARefusalIsForgottenOnceATokenIsIssued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := newIssuer(t, issue("token-1", 3600), slow(2*time.Second, refuse))
		source := issuer.source(t)
		token(t, source)
		time.Sleep(55 * time.Minute)
		token(t, source)            // starts a renewal, which is refused after two seconds
		time.Sleep(5 * time.Second) // two seconds before the refusal's time is over
		token(t, source)            // starts another, which succeeds
		synctest.Wait()
		source.Invalidate(auth.NewSecret(token(t, source)))
		assert.Equal(t, "token-4", token(t, source))
	})
}

func TestATemporaryFailureIsNotRemembered(t *testing.T) {
	issuer := newIssuer(t, fail, fail)
	source := issuer.source(t)
	for range 2 {
		assert.True(t, tokenError(t, source).Temporary())
	}
	assert.Equal(t, "token-3", token(t, source))
}

func TestALifetimeIsTakenFromTheResponseWithinBounds(t *testing.T) {
	for expiresIn, life := range map[string]time.Duration{
		`3600`:                 time.Hour,
		`1`:                    time.Second,
		`86399`:                24*time.Hour - time.Second,
		`86400`:                24 * time.Hour,
		`86401`:                24 * time.Hour,
		`9223372036854775807`:  24 * time.Hour,
		`0`:                    time.Minute,
		`-1`:                   time.Minute,
		`-9223372036854775808`: time.Minute,
		`9223372036854775808`:  time.Minute, // no int
		`1e400`:                time.Minute,
		`3600.5`:               time.Minute,
		`"3600"`:               time.Minute,
		`"soon"`:               time.Minute,
		`null`:                 time.Minute,
		`true`:                 time.Minute,
		`{}`:                   time.Minute,
	} {
		t.Run(expiresIn, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				body := `{"expiresIn":` + expiresIn + `,"tokenType":7,"issuedAt":[],"accessToken":"token-1"}`
				issuer := newHostileIssuer(t, reply(http.StatusOK, "application/json", body), fail, fail)
				source := issuer.source(t)
				assert.Equal(t, "token-1", token(t, source))
				time.Sleep(life - 1)
				assert.Equal(t, "token-1", token(t, source))
				synctest.Wait()
				time.Sleep(time.Nanosecond)
				tokenError(t, source)
			})
		})
	}
}

func TestTheErrorHoldsTheGatewaysRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for value, want := range map[string]time.Duration{
			"7": 7 * time.Second,
			time.Now().Add(time.Minute).UTC().Format(http.TimeFormat): time.Minute,
			"":     0,
			"soon": 0,
		} {
			issuer := newHostileIssuer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", value)
				w.WriteHeader(http.StatusServiceUnavailable)
			})
			assert.Equal(t, want, tokenError(t, issuer.source(t)).RetryAfter, value)
		}
	})
}

func TestRetryAfterIsObeyedForUpToThirtySeconds(t *testing.T) {
	for asked, heeded := range map[string]time.Duration{"20": 20 * time.Second, "3600": 30 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			issuer := newHostileIssuer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", asked)
				w.WriteHeader(http.StatusTooManyRequests)
			})
			source := issuer.source(t)
			for range 50 {
				assert.True(t, tokenError(t, source).Temporary())
			}
			said, err := time.ParseDuration(asked + "s")
			require.NoError(t, err)
			assert.Equal(t, said, tokenError(t, source).RetryAfter)
			time.Sleep(heeded - time.Nanosecond)
			left := said - heeded + time.Nanosecond
			assert.Equal(t, left, tokenError(t, source).RetryAfter, "the time that has passed is subtracted")
			assert.Len(t, issuer.requests(), 1)
			time.Sleep(time.Nanosecond)
			assert.Equal(t, "token-2", token(t, source))
		})
	}
}

func TestARenewalObeysRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := newHostileIssuer(t, issue("token-1", 3600))
		issuer.then(many(2000, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(http.StatusTooManyRequests)
		})...)
		source := issuer.source(t)
		start := time.Now()
		for time.Since(start) < time.Hour-time.Second {
			require.Equal(t, "token-1", token(t, source))
			time.Sleep(time.Second)
		}
		asked := issuer.requests()
		require.Greater(t, len(asked), 10)
		for i := 2; i < len(asked); i++ {
			assert.GreaterOrEqual(t, asked[i].Sub(asked[i-1]), 30*time.Second)
		}
	})
}

func TestADumpOfASourceHoldsNoSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := newIssuer(t, issue("token-"+canary, 3600))
		source := issuer.source(t)
		token(t, source)
		synctest.Wait() // a dump reads without locks
		for _, value := range []any{source, struct{ source any }{source}, []any{source}} {
			output := []string{dump(value)}
			for _, verb := range "vsdxq" {
				for _, flags := range []string{"", "+", "#"} {
					output = append(output, fmt.Sprintf("%"+flags+string(verb), value))
				}
			}
			assert.False(t, gives(strings.Join(output, "\n")))
		}
	})
}
