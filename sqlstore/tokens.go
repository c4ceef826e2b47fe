package sqlstore

import (
	"cmp"
	"context"
	"crypto/cipher"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/internal/observe"
)

const (
	fetchLease   = 40 * time.Second // for which one process asks for a token; longer than that takes
	obtainTime   = time.Minute      // for which a process tries to have one
	failurePause = time.Second      // after which a failed request is made again
	refusalPause = 5 * time.Second  // after which it is if the gateway has refused the credentials
	longestPause = 30 * time.Second // that a Retry-After is heeded for
	renewPause   = 5 * time.Second  // between two looks for a newer token
	assumedLife  = time.Minute      // of a token of a source that does not tell
)

// Tokens returns an [auth.TokenSource] that the processes on the database share: one of them
// fetches a token from source, and the others use it. The database has the token encrypted with
// AES-256-GCM under key, which has at least 32 characters and is the same in all processes. Pass
// the result to [connectpsp.WithTokenSource].
//
// In the last quarter of the life of a token one process fetches another. All go on with the old
// token meanwhile, also if the fetch fails. A token that the gateway has refused is replaced once.
// If a process dies while it fetches, another fetches after 40 seconds. If the gateway refuses the
// credentials, or a fetch fails in another way, all processes get that error for a few seconds.
//
// Source comes from [connectpsp.NewTokenSource]; the token is stored for its client id and gateway.
// The life of a token of any other source is not known: it counts as one minute.
//
// Tokens sends nothing before the first call of Token. If the key is not valid or not that of the
// stored token, Token returns an error, and nothing is sent.
func (s *Store) Tokens(source auth.TokenSource, key auth.Secret) auth.TokenSource {
	t := &sharedTokens{store: s, source: source}
	if credentials, ok := source.(*auth.ClientCredentials); ok {
		t.integration, t.fetch = credentials.Identity(), credentials.Fetch
	} else {
		t.fetch = t.fetchFromAny
	}
	t.aead, t.faulty = sealer(key)
	return t
}

// sharedTokens is the source of tokens that processes share.
type sharedTokens struct {
	store       *Store
	source      auth.TokenSource
	integration string
	fetch       func(context.Context) (auth.Secret, time.Duration, error)
	aead        cipher.AEAD
	faulty      error       // the fault of the key, nil if it has none
	last        auth.Secret // that fetchFromAny has returned, in one flight at a time

	mu      sync.Mutex
	held    *heldToken // nil before the first and after Invalidate
	refused int64      // version of the last token that the gateway has refused
	flight  *flight    // nil if nobody looks for a token
}

// heldToken is a token and when it is to be renewed and ends, by the local clock.
type heldToken struct {
	token   auth.Secret
	version int64
	renewAt time.Time
	endsAt  time.Time
}

// flight is one look for a token, and all that wait for it. Held and err are set before done is
// closed.
type flight struct {
	done    chan struct{}
	held    *heldToken
	err     error
	request observe.TokenFlight
}

// Token returns a live token. It waits only if there is none, and no longer than ctx lasts.
func (t *sharedTokens) Token(ctx context.Context) (auth.Secret, error) {
	if t.faulty != nil {
		return auth.Secret{}, t.faulty
	}
	if err := ctx.Err(); err != nil {
		return auth.Secret{}, err
	}
	for {
		held, flight := t.look(ctx)
		if held != nil {
			return held.token, nil
		}
		select {
		case <-flight.done:
			observe.WaitedFor(ctx, &flight.request)
		case <-ctx.Done():
			return auth.Secret{}, ctx.Err()
		}
		if flight.err != nil {
			return auth.Secret{}, flight.err
		}
		if !t.isRefused(flight.held) { // else it was looked for before the gateway refused it
			return flight.held.token, nil
		}
	}
}

func (t *sharedTokens) isRefused(held *heldToken) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return held.version == t.refused
}

// look returns the token that is held, or a look for one that is under way. If the token is to be
// renewed it begins one too.
func (t *sharedTokens) look(ctx context.Context) (*heldToken, *flight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, held := time.Now(), t.held
	if held != nil && !now.Before(held.endsAt) {
		held = nil
	}
	wanted := held == nil || !now.Before(held.renewAt)
	if wanted && t.flight == nil {
		t.flight = &flight{done: make(chan struct{})}
		if held != nil {
			held.renewAt = now.Add(renewPause)
		}
		// It keeps the values of ctx, such as a trace, and not its end: others wait for it too.
		go t.obtain(observe.WithFlight(observe.Detach(ctx), &t.flight.request), t.flight, held, t.refused)
	}
	return held, t.flight
}

// obtain looks for a token: one that is newer than the held one, if any.
func (t *sharedTokens) obtain(ctx context.Context, flight *flight, held *heldToken, refused int64) {
	ctx, cancel := context.WithTimeout(ctx, obtainTime)
	defer cancel()
	flight.held, flight.err = t.newest(ctx, held, refused)
	t.mu.Lock()
	defer t.mu.Unlock()
	if flight.err == nil && flight.held.version != t.refused {
		t.held = flight.held
	}
	t.flight = nil
	close(flight.done)
}

// Invalidate says that the gateway has refused a token. It is replaced once, by the first process
// that asks for another.
func (t *sharedTokens) Invalidate(token auth.Secret) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held != nil && t.held.token.Reveal() == token.Reveal() {
		t.refused, t.held = t.held.version, nil
	}
}

// newest returns a token that is newer than the held one and was not refused: that of the database,
// or one that it fetches. It waits while another process fetches one, unless a token is held.
func (t *sharedTokens) newest(ctx context.Context, held *heldToken, refused int64) (*heldToken, error) {
	fetcher := uuid.NewString()
	for poll := shortestPoll; ; poll = min(2*poll, longestPoll) {
		stored, err := t.read(ctx)
		switch {
		case err != nil:
			return nil, err
		case stored.live() && stored.version != refused && (held == nil || stored.version > held.version):
			return &stored.heldToken, nil
		}
		won, err := t.change(ctx, claimFetch, t.integration, fetcher, fetchLease.Microseconds(), stored.version)
		switch {
		case err != nil:
			return nil, err
		case won == 1:
			if err := t.fetchAndStore(ctx, fetcher); err != nil {
				return nil, err
			}
			fetcher, poll = uuid.NewString(), shortestPoll
			continue
		case held != nil:
			return held, nil // another renews it
		case stored.failed && stored.wait > 0:
			return nil, &auth.Error{StatusCode: int(stored.failure), RetryAfter: stored.wait, Err: errFailed}
		}
		if err := sleep(ctx, poll); err != nil {
			return nil, fmt.Errorf("sqlstore: another process did not get an access token in time: %w", err)
		}
	}
}

// change makes one statement, and makes it again if it fails: if its response was lost, all would
// wait until the lease of this process is over. Each statement names the fetcher, and does the same
// when it is made twice.
func (t *sharedTokens) change(ctx context.Context, statement string, arguments ...any) (changed int64, err error) {
	for range 2 {
		if changed, err = t.store.change(ctx, statement, arguments...); err == nil {
			break
		}
	}
	return changed, err
}

var errFailed = errors.New("another process has just asked for a token and got none")

// fetchAndStore fetches a token, outside of any transaction, and stores it, or for how long nobody
// asks for one again.
func (t *sharedTokens) fetchAndStore(ctx context.Context, fetcher string) error {
	begun := time.Now()
	token, life, err := t.fetch(ctx)
	if err != nil {
		pause, status := failurePause, 0
		if failure := (*auth.Error)(nil); errors.As(err, &failure) {
			status = failure.StatusCode
			if !failure.Temporary() {
				pause = refusalPause
			}
			pause = min(max(pause, failure.RetryAfter), longestPause)
		}
		// If it cannot be stored others wait until the lease is over.
		_, _ = t.change(ctx, storeFailure, t.integration, fetcher, pause.Microseconds(), status)
		return err
	}
	if token.IsZero() {
		return errors.New("sqlstore: the token source gave an unset token")
	}
	life -= time.Since(begun)
	early := life/8 + rand.N(max(life/8, 1))
	_, err = t.change(ctx, storeToken, t.integration, fetcher, seal(t.aead, token, t.integration),
		(life - early).Microseconds(), life.Microseconds())
	return err // if another has the lease by now, its token is as good
}

// fetchFromAny fetches a token from a source that may give out the same one until it is
// invalidated.
func (t *sharedTokens) fetchFromAny(ctx context.Context) (auth.Secret, time.Duration, error) {
	token, err := t.source.Token(ctx)
	if err == nil && !token.IsZero() && token.Reveal() == t.last.Reveal() {
		t.source.Invalidate(token)
		token, err = t.source.Token(ctx)
	}
	t.last = token
	return token, assumedLife, err
}

const (
	selectToken = `SELECT version, sealed, renew_at - NOW, ends_at - NOW, fetched_until - NOW, failure
	FROM connectpsp_token WHERE integration = $1`

	claimFetch = `INSERT INTO connectpsp_token (integration, fetcher, fetched_until) VALUES ($1, $2, NOW + $3)
ON CONFLICT (integration) DO UPDATE SET fetcher = excluded.fetcher, fetched_until = excluded.fetched_until, failure = NULL
WHERE connectpsp_token.version = $4 AND (connectpsp_token.fetched_until <= NOW OR connectpsp_token.fetcher = excluded.fetcher)`

	storeToken = `UPDATE connectpsp_token SET version = version + 1, sealed = $3, renew_at = NOW + $4, ends_at = NOW + $5,
	fetched_until = 0, failure = NULL WHERE integration = $1 AND fetcher = $2`

	storeFailure = `UPDATE connectpsp_token SET fetched_until = NOW + $3, failure = $4 WHERE integration = $1 AND fetcher = $2`
)

// storedToken is the row of the integration, zero if there is none.
type storedToken struct {
	heldToken
	wait    time.Duration // until somebody may ask for a token
	failed  bool          // the last request for one has failed
	failure int64         // its status, 0 if there was no response
}

func (s *storedToken) live() bool { return time.Now().Before(s.endsAt) }

// read reads the row. The key must be right also for a token that has ended: a process with another
// one would lock all others out.
func (t *sharedTokens) read(ctx context.Context) (stored storedToken, err error) {
	var sealed []byte
	var renew, ends, until int64
	var failure sql.NullInt64
	now := time.Now()
	err = t.store.db.QueryRowContext(ctx, t.store.text(selectToken), t.integration).
		Scan(&stored.version, &sealed, &renew, &ends, &until, &failure)
	if errors.Is(err, sql.ErrNoRows) {
		return storedToken{}, nil
	}
	if err != nil {
		return stored, wrap(err)
	}
	microseconds := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	stored.renewAt, stored.endsAt = now.Add(microseconds(renew)), now.Add(microseconds(ends))
	stored.wait, stored.failed, stored.failure = microseconds(until), failure.Valid, failure.Int64
	if len(sealed) > 0 {
		stored.token, err = open(t.aead, sealed, t.integration)
	}
	return stored, err
}

// String returns the type and the integration.
func (t *sharedTokens) String() string {
	return "sqlstore.Tokens(" + cmp.Or(t.integration, "any source") + ")"
}

// Format prints String under every verb: fmt would read fields that a renewal changes at the same
// time.
func (t *sharedTokens) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// LogValue logs String.
func (t *sharedTokens) LogValue() slog.Value { return slog.StringValue(t.String()) }
