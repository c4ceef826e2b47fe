package integration

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/contract"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/signing"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

var (
	stormMemory   = flag.Int("storm.memory", 20_000, "how many events are delivered to an inbox in memory")
	stormPostgres = flag.Int("storm.postgres", 4_000, "how many to one on PostgreSQL")
	stormSQLite   = flag.Int("storm.sqlite", 2_000, "how many to one on SQLite")
	stormSeed     = flag.Uint64("storm.seed", rand.Uint64(), "what the events are drawn from")
)

const currentSecret, previousSecret = "b3f1c1c0-1d0a-4f6e-9c5e-6d0f2a7b9e11", "0d8a5c0e-8f0f-4c62-9b8b-4b6f1f7c2a11"

// life is what happens to one transaction.
type life struct {
	id     string
	kind   webhook.Kind
	events []happening
	truth  happening // what the gateway answers in the end
}

// happening is one event of a life.
type happening struct {
	kind       webhook.EventType
	status     webhook.Status
	movementID string // how the end-to-end id of a return or a second payment begins
}

// isReturn reports whether it is one.
func (h happening) isReturn() bool { return h.status == webhook.StatusRefunded }

var (
	paid      = happening{webhook.CashInPaid, webhook.StatusPaid, ""}
	paidTwice = happening{webhook.CashInPaid, webhook.StatusPaid, "E2"}
	refunded  = happening{webhook.CashInRefunded, webhook.StatusRefunded, "D1"}
	completed = happening{webhook.CashOutCompleted, webhook.StatusCompleted, ""}
	failed    = happening{webhook.CashOutFailed, webhook.StatusFailed, ""}
	returned  = happening{webhook.CashOutRefunded, webhook.StatusRefunded, "D1"}
	again     = happening{webhook.CashOutRefunded, webhook.StatusRefunded, "D2"}
)

// lives are those that are drawn. The last event but those marked is the truth.
var lives = []life{
	{kind: webhook.KindCashIn, events: []happening{paid}, truth: paid},
	{kind: webhook.KindCashIn, events: []happening{paid, refunded}, truth: refunded},
	{kind: webhook.KindCashIn, events: []happening{paid, paidTwice}, truth: paid},
	{kind: webhook.KindCashOut, events: []happening{completed}, truth: completed},
	{kind: webhook.KindCashOut, events: []happening{failed}, truth: failed},
	{kind: webhook.KindCashOut, events: []happening{completed, returned}, truth: returned},
	{kind: webhook.KindCashOut, events: []happening{completed, returned, again}, truth: again},
	{kind: webhook.KindCashOut, events: []happening{failed, completed}, truth: completed}, // it had not failed
	{kind: webhook.KindCashOut, events: []happening{completed, failed}, truth: completed},
	{kind: webhook.KindCashOut, events: []happening{failed, completed, returned}, truth: returned},
}

// endToEndID makes an id of the right shape, which the first two characters tell from others of the
// life.
func (l life) endToEndID(mark string) string {
	return mark + strings.ReplaceAll(l.id, "-", "")[2:]
}

// data writes a transaction as it is after something happened.
func (l life) data(h happening) string {
	ids := ""
	switch {
	case h.isReturn():
		ids = `"endToEndId":"` + l.endToEndID(h.movementID) + `","originalEndToEndId":"E` + l.id + `",`
	case h.movementID != "":
		ids = `"endToEndId":"` + l.endToEndID(h.movementID) + `",`
	case h.status == webhook.StatusPaid || h.status == webhook.StatusCompleted:
		ids = `"endToEndId":"E` + l.id + `",`
	}
	person := `"payer":{"name":"Test User","document":"12345678909"}`
	if l.kind == webhook.KindCashOut {
		person = `"payee":{"name":"Test User","document":"12345678909","destination":{"type":"PIX","pixKeyType":"EMAIL","pixKey":"maria@example.com"}}`
	}
	return fmt.Sprintf(`{"transactionId":%q,"internalCode":"US7B1JQ","externalReference":"order-%s",%s"status":%q,"amount":10.50,%s}`,
		l.id, l.id, ids, h.status, person)
}

func (l life) body(h happening, second int) string {
	return fmt.Sprintf(`{"eventType":%q,"eventAt":"2026-03-10T11:22:%02dZ","data":%s}`, h.kind, second, l.data(h))
}

// storm is one test of one inbox: many deliveries, in any order, of a few thousand lives.
type storm struct {
	t         *testing.T
	chance    *rand.Rand
	lives     map[string]*life
	movements map[string]string // what the gateway answers to the end-to-end id of a return or a second payment
	handler   http.Handler
	worker    *webhook.Worker
	checker   *contract.Checker // nil if nothing is checked

	queue    chan string // bodies to deliver
	answered atomic.Int64
	refused  atomic.Int64 // deliveries that were not answered with 200, and come again
}

// newStorm draws lives until there are so many deliveries of them.
func newStorm(t *testing.T, seed, number uint64, deliveries int, checked bool) *storm {
	s := &storm{t: t, chance: rand.New(rand.NewPCG(seed, number)), lives: map[string]*life{}, movements: map[string]string{}}
	if checked {
		s.checker = contract.New(t)
	}
	var bodies, replays []string
	for len(bodies)+len(replays) < deliveries {
		l := lives[s.chance.IntN(len(lives))]
		l.id = fmt.Sprintf("%08x-0000-4000-8000-%012x", s.chance.Uint32(), len(s.lives))
		s.lives[l.id] = &l
		for _, h := range l.events {
			body := l.body(h, 18)
			if h.movementID != "" {
				s.movements[l.endToEndID(h.movementID)] = l.data(h)
			}
			for range 1 + s.chance.IntN(3) {
				bodies = append(bodies, body)
			}
			if s.chance.IntN(12) == 0 { // the gateway has written it anew
				bodies = append(bodies, l.body(h, 19))
			}
			if s.chance.IntN(4) == 0 { // somebody sends it again, long after
				replays = append(replays, body)
			}
			if checked {
				s.checker.Webhook([]byte(body))
			}
		}
	}
	s.chance.Shuffle(len(bodies), func(i, j int) { bodies[i], bodies[j] = bodies[j], bodies[i] })
	s.chance.Shuffle(len(replays), func(i, j int) { replays[i], replays[j] = replays[j], replays[i] })
	s.queue = make(chan string, 2*deliveries)
	for _, body := range append(bodies, replays...) {
		s.queue <- body
	}
	return s
}

// RoundTrip answers reads with the truth.
func (s *storm) RoundTrip(r *http.Request) (*http.Response, error) {
	id := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	data := s.movements[id]
	if l := s.lives[id]; l != nil {
		data = l.data(l.truth)
	}
	w := httptest.NewRecorder()
	handler := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(data))
	}))
	if s.checker != nil {
		handler = s.checker.Middleware(handler)
	}
	request := r.Clone(r.Context())
	request.RequestURI, request.Body = r.URL.RequestURI(), http.NoBody
	handler.ServeHTTP(w, request)
	return w.Result(), nil
}

type fixedToken struct{}

func (fixedToken) Token(context.Context) (auth.Secret, error) {
	return auth.NewSecret("header.payload.signature"), nil
}
func (fixedToken) Invalidate(auth.Secret) {}

// receive makes the receiver.
func (s *storm) receive(inbox webhook.Inbox, apply func(context.Context, webhook.Transition) error, options ...webhook.WorkerOption) {
	client, err := connectpsp.New(connectpsp.Config{
		ClientID: "1024", ClientSecret: auth.NewSecret("secret"), ApplicationToken: auth.NewSecret(previousSecret), BaseURL: "https://gateway.example",
	}, connectpsp.WithHTTPClient(&http.Client{Transport: s}), connectpsp.WithTokenSource(fixedToken{}))
	require.NoError(s.t, err)
	handler, err := webhook.NewHandler(inbox, auth.NewSecret(currentSecret), auth.NewSecret(previousSecret))
	require.NoError(s.t, err)
	silent := slog.New(slog.DiscardHandler)
	s.handler = handler
	handler.Logger = silent
	s.worker = webhook.NewWorker(inbox, client, apply, append(options, webhook.WithLogger(silent))...)
}

// post delivers a body that is signed with a secret, and returns the status of the answer.
func post(handler http.Handler, secret, body string) int {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("X-Connect-Signature", hex.EncodeToString(signing.Sum(secret, []byte(body))))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Code
}

// deliver posts until the queue is empty. What is not answered with 200 comes again.
func (s *storm) deliver(chance *rand.Rand) {
	for {
		select {
		case body := <-s.queue:
			secret := []string{currentSecret, previousSecret}[chance.IntN(2)]
			if post(s.handler, secret, body) == http.StatusOK {
				s.answered.Add(1)
			} else if s.bounded(&s.refused) {
				s.queue <- body
			}
		default:
			return
		}
	}
}

// bounded counts what is to come to an end: an event is worked off or delivered twenty times at
// most.
func (s *storm) bounded(count *atomic.Int64) bool {
	if count.Add(1) <= int64(100*cap(s.queue)) {
		return true
	}
	s.t.Errorf("the same is due, or is refused, again and again; -storm.seed=%d", *stormSeed)
	return false
}

// rage delivers and works at the same time, until all is answered and nothing is due. Pass lets
// time pass until what was left by those that died is due again, and reports whether something was.
func (s *storm) rage(pass func() bool) {
	delivered := make(chan struct{})
	var posting, working sync.WaitGroup
	for n := range 6 {
		chance := rand.New(rand.NewPCG(s.chance.Uint64(), uint64(n)))
		posting.Go(func() { s.deliver(chance) })
	}
	var works atomic.Int64
	work := func() {
		for {
			worked, err := s.worker.Work(s.t.Context())
			if (worked || err != nil) && s.bounded(&works) {
				continue
			}
			select {
			case <-delivered:
				return
			default:
				time.Sleep(time.Millisecond)
			}
		}
	}
	for range 6 {
		working.Go(work)
	}
	posting.Wait()
	close(delivered)
	working.Wait()
	for pass() {
		work()
	}
}

// unsteady is an inbox that fails, as if its process died, before and after each of its steps.
// Nobody hears then what it did.
type unsteady struct {
	webhook.Inbox
	deaths atomic.Int64
	calm   atomic.Bool
}

var errDied = errors.New("the process died")

func (u *unsteady) dies() bool {
	if u.calm.Load() || rand.IntN(25) != 0 {
		return false
	}
	u.deaths.Add(1)
	return true
}

func (u *unsteady) Put(ctx context.Context, item webhook.Item) (*webhook.Digest, error) {
	if u.dies() {
		return nil, errDied
	}
	earlier, err := u.Inbox.Put(ctx, item)
	if u.dies() {
		return nil, errDied
	}
	return earlier, err
}

func (u *unsteady) Claim(ctx context.Context, lease time.Duration, limit int) ([]*webhook.Claim, error) {
	if u.dies() {
		return nil, errDied
	}
	claims, err := u.Inbox.Claim(ctx, lease, limit)
	if u.dies() {
		return nil, errDied
	}
	return claims, err
}

func (u *unsteady) Complete(ctx context.Context, claim *webhook.Claim, change func(context.Context, webhook.TransactionState) (webhook.Result, error)) error {
	if u.dies() {
		return webhook.ErrClaimLost // whoever died does not go on
	}
	err := u.Inbox.Complete(ctx, claim, change)
	if u.dies() {
		return webhook.ErrClaimLost
	}
	return err
}

func (u *unsteady) Hold(ctx context.Context, claim *webhook.Claim, reason string) error {
	if u.dies() {
		return errDied
	}
	return u.Inbox.Hold(ctx, claim, reason)
}

func (u *unsteady) Postpone(ctx context.Context, claim *webhook.Claim, due time.Time, reason string) error {
	if u.dies() {
		return errDied
	}
	return u.Inbox.Postpone(ctx, claim, due, reason)
}

// step is one effect, as the function of the Worker wrote it down.
type step struct {
	transaction, from, to, returnID string
}

func stepOf(t webhook.Transition) step {
	s := step{transaction: t.TransactionID, from: string(t.From), to: string(t.To)}
	if t.To == webhook.StatusRefunded {
		if t.CashIn != nil {
			s.returnID = t.CashIn.EndToEndID
		} else {
			s.returnID = t.CashOut.EndToEndID
		}
	}
	return s
}

// judge looks at all effects, in the order in which they were written, and at what is held: the
// second payment of every transaction that has one, and nothing else.
func (s *storm) judge(steps []step, held []webhook.Item) {
	toHold, isHeld := map[string]bool{}, map[string]bool{}
	for id, l := range s.lives {
		if slices.Contains(l.events, paidTwice) {
			toHold["CASHIN/"+id] = true
		}
	}
	for _, item := range held {
		isHeld[item.Transaction] = true
		assert.Contains(s.t, item.Held, "second time")
	}
	assert.Equal(s.t, toHold, isHeld, "-storm.seed=%d", *stormSeed)
	byTransaction := map[string][]step{}
	for _, one := range steps {
		byTransaction[one.transaction] = append(byTransaction[one.transaction], one)
	}
	require.Len(s.t, byTransaction, len(s.lives), "every transaction had an effect; -storm.seed=%d", *stormSeed)
	for id, l := range s.lives {
		at, seen := "", map[step]bool{}
		var returns []string
		wrong := ""
		for _, one := range byTransaction[id] {
			switch {
			case one.from != at:
				wrong = "the steps do not follow one another"
			case seen[one]:
				wrong = "an effect happened twice"
			case one.to == at && one.returnID == "":
				wrong = "a step without an effect"
			}
			at, seen[one] = one.to, true
			if one.returnID != "" {
				returns = append(returns, one.returnID[:2])
			}
		}
		slices.Sort(returns)
		var want []string
		for _, h := range l.events {
			if h.isReturn() {
				want = append(want, h.movementID)
			}
		}
		if at != string(l.truth.status) {
			wrong = "the last status is not the truth"
		} else if !slices.Equal(returns, want) {
			wrong = "not every return had its effect once"
		}
		if wrong != "" {
			s.t.Errorf("%s: %s; life %v, steps %v; -storm.seed=%d", id, wrong, l.events, byTransaction[id], *stormSeed)
			return
		}
	}
}

// TestInMemoryEveryEffectHappensOnce runs where time is virtual, in storms of their own inbox each.
// Every second one confirms all with the gateway.
func TestInMemoryEveryEffectHappensOnce(t *testing.T) {
	const each = 10_000
	var answered, deaths int64
	for n := 0; n*each < *stormMemory && !t.Failed(); n++ {
		synctest.Test(t, func(t *testing.T) {
			s := newStorm(t, *stormSeed, uint64(n), min(each, *stormMemory), n == 0)
			inbox := webhook.NewMemoryInbox()
			shaky := &unsteady{Inbox: inbox}
			var mu sync.Mutex
			var steps []step
			var options []webhook.WorkerOption
			if n%2 == 1 {
				options = append(options, webhook.WithConfirmation(pix.Centavos(0)))
			}
			s.receive(shaky, func(_ context.Context, t webhook.Transition) error {
				mu.Lock()
				defer mu.Unlock()
				steps = append(steps, stepOf(t))
				return nil
			}, options...)
			passes := 0
			s.rage(func() bool {
				time.Sleep(3 * time.Minute) // longer than a lease
				passes++
				shaky.calm.Store(passes > 3)
				return passes < 6
			})
			s.judge(steps, inbox.Held())
			answered += s.answered.Load()
			deaths += shaky.deaths.Load()
		})
	}
	t.Logf("%d deliveries answered, %d deaths; -storm.seed=%d", answered, deaths, *stormSeed)
}

// TestOnADatabaseEveryEffectHappensOnce adds connections that break while a step is settled.
func TestOnADatabaseEveryEffectHappensOnce(t *testing.T) {
	onServers(t, func(t *testing.T, on server, db *sql.DB) {
		deliveries := *stormSQLite
		if on.dialect == sqlstore.PostgreSQL {
			deliveries = *stormPostgres
		}
		s := newStorm(t, *stormSeed, 1, deliveries, true)
		inbox := openInbox(t, on, db)
		execute(t, db, `CREATE TABLE effect (number bigint NOT NULL, tx text NOT NULL, from_status text NOT NULL, to_status text NOT NULL, return_id text NOT NULL)`)
		shaky := &unsteady{Inbox: inbox}
		var number, broken atomic.Int64
		s.receive(shaky, func(ctx context.Context, t webhook.Transition) error {
			tx, one := sqlstore.Tx(ctx), stepOf(t)
			_, err := tx.ExecContext(ctx, `INSERT INTO effect (number, tx, from_status, to_status, return_id) VALUES ($1, $2, $3, $4, $5)`,
				number.Add(1), one.transaction, one.from, one.to, one.returnID)
			if err != nil || !shaky.dies() {
				return err
			}
			broken.Add(1)
			if on.dialect == sqlstore.PostgreSQL && rand.IntN(4) == 0 {
				// The server drops the connection. The step seems to have gone well until the
				// commit.
				_, _ = tx.ExecContext(ctx, `SELECT pg_terminate_backend(pg_backend_pid())`)
				return nil
			}
			return errDied
		})
		passes := 0
		begun := time.Now()
		s.rage(func() bool {
			shaky.Inbox = openInbox(t, on, db) // as a process that starts: it looks at the whole queue
			execute(t, db, `UPDATE connectpsp_queue SET due_at = 0, leased_until = 0 WHERE due_at IS NOT NULL`)
			passes++
			shaky.calm.Store(passes > 3)
			return passes < 6
		})
		rows, err := db.QueryContext(t.Context(), `SELECT tx, from_status, to_status, return_id FROM effect ORDER BY number`)
		require.NoError(t, err)
		var steps []step
		for rows.Next() {
			var one step
			require.NoError(t, rows.Scan(&one.transaction, &one.from, &one.to, &one.returnID))
			steps = append(steps, one)
		}
		require.NoError(t, rows.Err())
		held, err := inbox.Held(t.Context(), deliveries)
		require.NoError(t, err)
		s.judge(steps, held)
		var open int
		require.NoError(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM connectpsp_queue WHERE due_at IS NOT NULL`).Scan(&open))
		assert.Zero(t, open, "nothing is stuck")
		t.Logf("%d deliveries answered, %d to come again, %d deaths, %d of them while a step was settled, %d effects, in %v; -storm.seed=%d",
			s.answered.Load(), s.refused.Load(), shaky.deaths.Load(), broken.Load(), len(steps), time.Since(begun).Round(time.Millisecond), *stormSeed)
	})
}
