package integration

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/pgproxy"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// commitsLost is how many commits each test of this file loses.
const commitsLost = 1000

// losses loses half of the commits until the number is reached: a quarter before the server has
// executed them, and a quarter after that.
type losses struct{ lost atomic.Int64 }

func (l *losses) fate() pgproxy.Fate {
	fate := []pgproxy.Fate{pgproxy.Pass, pgproxy.Pass, pgproxy.LoseRequest, pgproxy.LoseResponse}[rand.IntN(4)]
	if fate != pgproxy.Pass && l.lost.Add(1) > commitsLost {
		return pgproxy.Pass
	}
	return fate
}

func (l *losses) over() bool { return l.lost.Load() >= commitsLost }

// newLossy makes a database with its tables. The first connection to it loses commits, the second
// one does not.
func newLossy(t *testing.T, fate func() pgproxy.Fate) (lossy, direct *sql.DB) {
	address := os.Getenv("CONNECTPSP_TEST_POSTGRES")
	if address == "" {
		t.Skip("CONNECTPSP_TEST_POSTGRES is not set: make integration starts a server")
	}
	config, err := pgx.ParseConfig(newPostgres(t, address))
	require.NoError(t, err)
	direct = stdlib.OpenDB(*config)
	t.Cleanup(func() { require.NoError(t, direct.Close()) })
	openStore(t, servers[0], direct)

	_, socket := pgconn.NetworkAddress(config.Host, config.Port)
	proxy, err := pgproxy.Start(socket, fate)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, proxy.Close()) })
	config.Host, config.Port = proxy.Host(), 5432
	config.RuntimeParams["application_name"] = "lossy"
	lossy = stdlib.OpenDB(*config)
	lossy.SetMaxIdleConns(8)
	t.Cleanup(func() { require.NoError(t, lossy.Close()) })
	return lossy, direct
}

// ledger records which payments a gateway has accepted.
type ledger struct {
	mu           sync.Mutex
	transactions map[string][]string // by reference
	requests     int
}

// newLedger starts a gateway with a ledger.
func newLedger(t *testing.T) (*ledger, *sandbox.Sandbox) {
	l := &ledger{transactions: map[string][]string{}}
	gateway, err := sandbox.Start(sandbox.WithMiddleware(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			recorder := &recorder{ResponseWriter: w}
			next.ServeHTTP(recorder, r)
			if r.Method == http.MethodPost && r.URL.Path == "/cash-out" {
				l.record(recorder.body.Bytes())
			}
		})
	}))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, gateway.Close()) })
	return l, gateway
}

type recorder struct {
	http.ResponseWriter
	body bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) {
	r.body.Write(p)
	return r.ResponseWriter.Write(p)
}

func (l *ledger) record(response []byte) {
	var payment struct{ TransactionID, ExternalReference string }
	_ = json.Unmarshal(response, &payment) // a problem has neither
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
	known := l.transactions[payment.ExternalReference]
	if payment.TransactionID != "" && !slices.Contains(known, payment.TransactionID) {
		l.transactions[payment.ExternalReference] = append(known, payment.TransactionID)
	}
}

// heard is what the caller of a payment hears in the end.
type heard int

const (
	accepted heard = iota
	rejected
	notSent // and the caller pays in another way
	unknown // and the caller leaves it to Recover
)

// result is how a payment ended for its caller.
type result struct {
	reference, transactionID string
	heard                    heard
}

// payStubbornly calls until the payment is accepted, as a caller may. Some payments are rejected,
// some callers pay in another way as soon as nothing was sent, and some leave an unknown outcome to
// Recover.
func payStubbornly(t *testing.T, client *connectpsp.Client, n int) (r result) {
	r.reference = fmt.Sprint("withdrawal-", n)
	amount := pix.Centavos(100)
	if n%5 == 0 {
		amount = pix.Centavos(9_999_999_00) // more than there is
	}
	for range 100 {
		payment, err := client.CreateCashOut(t.Context(), withdrawal(r.reference, amount))
		switch {
		case err == nil:
			r.transactionID, r.heard = payment.TransactionID, accepted
			return r
		case errors.Is(err, connectpsp.ErrUnknownOutcome):
			if n%5 == 0 || n%4 == 0 {
				r.heard = unknown
				return r
			}
		case errors.Is(err, connectpsp.ErrNotSent):
			if n%3 == 0 {
				r.heard = notSent
				return r
			}
		default:
			assert.ErrorIs(t, err, connectpsp.CodeInsufficientFunds)
			r.heard = rejected
			return r
		}
	}
	t.Errorf("%s is not accepted after 100 calls", r.reference)
	return r
}

// recoverAll lets other processes settle what the journal could not record, and returns all that
// they report.
func recoverAll(t *testing.T, gateway *sandbox.Sandbox, lossy, direct *sql.DB) (results []result) {
	for _, db := range []*sql.DB{lossy, lossy, lossy, direct} {
		execute(t, direct, `UPDATE connectpsp_payment SET leased_until = 0`)
		recovered, err := process(t, gateway, openStore(t, servers[0], db)).Recover(t.Context())
		if db == direct {
			require.NoError(t, err)
		}
		for _, payment := range recovered {
			r := result{reference: payment.ExternalReference, heard: rejected}
			switch {
			case payment.Err == nil:
				r.transactionID, r.heard = payment.TransactionID, accepted
			case errors.Is(payment.Err, connectpsp.ErrUnknownOutcome):
				r.heard = unknown
			}
			results = append(results, r)
		}
	}
	return results
}

func TestAPaymentWhoseCommitsAreLostIsNeitherLostNorMadeTwice(t *testing.T) {
	loss := &losses{}
	lossy, direct := newLossy(t, loss.fate)
	ledger, gateway := newLedger(t)
	before := balance(t, gateway)
	client := process(t, gateway, openStore(t, servers[0], lossy))
	var results []result
	var mu sync.Mutex
	var next atomic.Int64
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for !loss.over() && !t.Failed() {
				r := payStubbornly(t, client, int(next.Add(1)))
				mu.Lock()
				results = append(results, r)
				mu.Unlock()
			}
		})
	}
	callers.Wait()

	loss.lost.Store(commitsLost * 9 / 10) // Recover loses commits too
	recovered := recoverAll(t, gateway, lossy, direct)
	for _, r := range append(recovered, results...) {
		made := ledger.transactions[r.reference]
		switch r.heard {
		case accepted:
			assert.Equal(t, []string{r.transactionID}, made, r.reference)
		case unknown:
			assert.LessOrEqual(t, len(made), 1, r.reference)
		default:
			assert.Empty(t, made, r.reference)
		}
	}
	paid, ends := 0, map[heard]int{}
	for _, r := range results {
		made := len(ledger.transactions[r.reference])
		recorded := number(t, direct, `SELECT count(*) FROM connectpsp_payment WHERE external_reference = $1 AND outcome = 'ACCEPTED'`, r.reference)
		assert.Equal(t, made, recorded, "%+v", r)
		paid += made
		ends[r.heard]++
	}
	assert.Equal(t, before.Centavos()-int64(paid)*100, balance(t, gateway).Centavos())
	for _, heard := range []heard{accepted, rejected, notSent, unknown} {
		assert.NotZero(t, ends[heard], "each end is met")
	}
	t.Logf("%d payments, accepted, rejected, not sent and unknown: %v; %d requests", len(results), ends, ledger.requests)
}

func TestAnEventWhoseCommitsAreLostHasItsEffectOnce(t *testing.T) {
	loss := &losses{}
	lossy, direct := newLossy(t, loss.fate)
	execute(t, direct, `CREATE TABLE wallet (id text PRIMARY KEY, credits integer NOT NULL DEFAULT 0)`)
	s := &storm{t: t}
	s.receive(openInbox(t, servers[0], lossy), func(ctx context.Context, step webhook.Transition) error {
		_, err := sqlstore.Tx(ctx).ExecContext(ctx, `UPDATE wallet SET credits = credits + 1 WHERE id = $1`, step.TransactionID)
		return err
	})
	var events atomic.Int64
	var posting, working sync.WaitGroup
	for range 4 {
		posting.Go(func() {
			for !loss.over() && !t.Failed() {
				l := life{id: fmt.Sprintf("%08x-0000-4000-8000-000000000000", events.Add(1)), kind: webhook.KindCashIn}
				execute(t, direct, `INSERT INTO wallet (id) VALUES ($1)`, l.id)
				for attempts := 1; post(s.handler, currentSecret, l.body(paid, 18)) != http.StatusOK; attempts++ {
					if !assert.Less(t, attempts, 100, "it is not stored") {
						return
					}
				}
			}
		})
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for range 4 {
		working.Go(func() { _ = s.worker.Run(ctx) })
	}
	posting.Wait()
	require.Eventually(t, func() bool {
		execute(t, direct, later)
		return number(t, direct, `SELECT count(*) FROM connectpsp_queue`) == 0
	}, time.Minute, 300*time.Millisecond, "an event is lost")
	stop()
	working.Wait()
	assert.EqualValues(t, events.Load(), number(t, direct, `SELECT count(*) FROM wallet WHERE credits = 1`))
	t.Logf("%d events, %+v", events.Load(), s.worker.Counts())
}

// liveToken returns the number of a token that was not revoked, as a client gets it: it invalidates
// a revoked one, which the gateway has refused.
func liveToken(ctx context.Context, source auth.TokenSource, revoked int64) (number int64, err error) {
	for {
		token, err := source.Token(ctx)
		if err != nil {
			return 0, err
		}
		if _, err := fmt.Sscanf(token.Reveal(), "header.payload.secret%d", &number); err != nil || number > revoked {
			return number, err
		}
		source.Invalidate(token)
	}
}

// If the commit of a fetched token is lost, other processes cannot know, and wait for 40 seconds.
func TestATokenWhoseCommitsAreLostIsFetchedOnceForEachLoss(t *testing.T) {
	loss := &losses{}
	lossy, direct := newLossy(t, loss.fate)
	gateway := newIssuer(t)
	var sources []auth.TokenSource
	for range 4 {
		sources = append(sources, gateway.tokens(t, openStore(t, servers[0], lossy), "1024", tokenKey))
	}
	// ask lets all processes ask at the same time, and returns the tokens of those that got one in
	// time.
	ask := func(revoked int64, patience time.Duration) map[int]int64 {
		var mu sync.Mutex
		var asking sync.WaitGroup
		tokens := map[int]int64{}
		for n, source := range sources {
			asking.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if token, err := liveToken(ctx, source, revoked); err == nil {
					mu.Lock()
					defer mu.Unlock()
					tokens[n] = token
				}
			})
		}
		asking.Wait()
		return tokens
	}
	const leaseOver = `UPDATE connectpsp_token SET fetched_until = 0 WHERE fetched_until > extract(epoch FROM now()) * 1000000`
	var allowed int64 // one for each revocation, and for each lease that a loss has left behind
	for !loss.over() && !t.Failed() {
		revoked := gateway.issued.Load()
		allowed++
		for len(ask(revoked, 20*time.Millisecond)) < len(sources) {
			require.Less(t, allowed, int64(10*commitsLost), "there is no token")
			result, err := direct.ExecContext(t.Context(), leaseOver)
			require.NoError(t, err)
			left, err := result.RowsAffected()
			require.NoError(t, err)
			allowed += left
		}
	}
	issued := gateway.issued.Load()
	assert.LessOrEqual(t, issued, allowed)
	tokens := ask(issued, 30*time.Second)
	require.Len(t, tokens, len(sources))
	for _, token := range tokens {
		assert.Equal(t, issued+1, token, "all have the same one")
	}
	assert.Equal(t, issued+1, gateway.issued.Load())
	t.Logf("%d requests, %d allowed", issued, allowed)
}

// A network that loses packets in silence would keep it waiting for a quarter of an hour.
func TestACommitThatIsNotAnsweredEndsAndIsMadeOnce(t *testing.T) {
	late := make(chan struct{})
	release := sync.OnceFunc(func() { close(late) })
	defer release()
	var hold atomic.Bool
	broken, db := newLossy(t, func() pgproxy.Fate {
		if hold.CompareAndSwap(true, false) {
			<-late
		}
		return pgproxy.Pass
	})
	execute(t, db, `CREATE TABLE wallet (credit integer NOT NULL)`)
	inbox := openInbox(t, servers[0], broken)
	put(t, inbox, item("a"))
	first := claim(t, inbox)
	credit := func(ctx context.Context, known webhook.TransactionState) (webhook.Result, error) {
		_, err := sqlstore.Tx(ctx).ExecContext(ctx, `INSERT INTO wallet (credit) VALUES (1)`)
		return webhook.Result{State: known}, err
	}
	hold.Store(true)
	ended := make(chan error, 1)
	go func() { ended <- inbox.Complete(t.Context(), first, credit) }()
	select {
	case err := <-ended:
		assert.Error(t, err)
	case <-time.After(30 * time.Second):
		t.Error("it waits")
	}
	release() // the server gets the commit after all
	require.Eventually(t, func() bool {
		return errors.Is(inbox.Complete(t.Context(), first, credit), webhook.ErrClaimLost)
	}, 10*time.Second, 5*time.Millisecond)
	assert.Equal(t, 1, number(t, db, `SELECT count(*) FROM wallet`))
}

func TestOneLostCommitDoesNotMakeAFleetWaitForItsToken(t *testing.T) {
	for name, lost := range map[string]int64{"of the lease": 1, "of the token": 2} {
		t.Run(name, func(t *testing.T) {
			var commits atomic.Int64
			lossy, _ := newLossy(t, func() pgproxy.Fate {
				if commits.Add(1) == lost {
					return pgproxy.LoseResponse
				}
				return pgproxy.Pass
			})
			store := openStore(t, servers[0], lossy)
			commits.Store(0)
			gateway := newIssuer(t)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // the lease is of 40
			defer cancel()
			_, err := gateway.tokens(t, store, "1024", tokenKey).Token(ctx)
			require.NoError(t, err)
			assert.EqualValues(t, 1, gateway.issued.Load())
		})
	}
}
