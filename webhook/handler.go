package webhook

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/observe"
	"github.com/connectpsp/connectpsp-go/internal/redact"
)

// The gateway waits five seconds for its 200.
const (
	readTimeout   = time.Second     // to read the body
	putTimeout    = 3 * time.Second // to store it
	maxBody       = 64 << 10        // an event has about a thousand bytes
	maxKey        = 1 << 10         // a key has about a hundred; PostgreSQL indexes at most 2,700
	maxDeliveryID = 100             // a UUID has 36
)

// Handler receives deliveries. It verifies each, stores it in an [Inbox], and responds 200 when the
// delivery is durable there and not before. A [Worker] processes the delivery after the response. A
// Handler fits any router, and goroutines may share it.
//
//	200  the event is stored, was stored before, or is signed but unparseable
//	     (or its ids are too long) and is held for manual review
//	401  the signature is missing or wrong
//	405  not a POST
//	408  the body did not arrive within a second
//	413  the body is larger than 64 KiB
//	400  the body broke off
//	503  the inbox failed, or took longer than three seconds: the gateway will send it again
//
// No response has a body. Set ReadHeaderTimeout, IdleTimeout and MaxHeaderBytes of the
// [http.Server]: the Handler cannot bound the time before it is called. Middleware may read the
// body if the Handler then gets the same bytes. Middleware that wraps the [http.ResponseWriter]
// must have an Unwrap method, or only the server's ReadTimeout bounds the time for the body. After
// the body the Handler clears its read deadline, so the connection serves later requests as before.
type Handler struct {
	// Logger receives, at level error, each signed body that is held because it cannot be parsed,
	// and at level warning the errors of the [Inbox], in its own words. The Handler adds no personal
	// data. docs/logs.md lists the events and the attributes. Nil means [slog.Default]; for silence
	// set slog.New(slog.DiscardHandler). Set it before the Handler is used.
	Logger *slog.Logger
	// Observer sees each [Delivery]. Nil means none. Set it before the Handler is used. Logger
	// receives, at level warning, that the Observer is late or panics.
	Observer connectpsp.Observer

	inbox   Inbox
	secrets []auth.Secret
	counts  [countKinds]atomic.Uint64
	guarded sync.Once
	guard   *observe.Guard // of Observer, once guarded
}

// NewHandler returns a [Handler] that fills inbox. The secrets are those of [Parse]: the
// CryptoToken and, while you rotate it, the previous one too. Unset secrets are skipped. NewHandler
// fails if no secret is set, if a secret has a character that no CryptoToken has (a space or a line
// break, for example), or if inbox is nil.
func NewHandler(inbox Inbox, secrets ...auth.Secret) (*Handler, error) {
	if inbox == nil {
		return nil, errors.New("webhook: a Handler needs an Inbox")
	}
	h := &Handler{inbox: inbox}
	for _, secret := range secrets {
		if secret.IsZero() {
			continue
		}
		if strings.ContainsFunc(secret.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, errors.New("webhook: a CryptoToken consists of visible ASCII characters without spaces: " +
				"if it comes from a file, cut off the line break at the end")
		}
		h.secrets = append(h.secrets, secret)
	}
	if len(h.secrets) == 0 {
		return nil, errors.New("webhook: a Handler needs a CryptoToken to verify signatures with")
	}
	return h, nil
}

// ServeHTTP receives one delivery.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d := Delivery{DeliveryID: printable(r.Header.Get(EventIDHeader))}
	ctx, span := observe.Begin(r.Context(), h.observers(), d)
	d.Result = DeliveryBroken // if the reader of the body panics
	defer func() {
		d.Duration = span.Duration()
		observe.End(span, d)
	}()
	kind := h.receive(ctx, w, r, &d)
	h.counts[kind].Add(1)
	if kind == wrongMethod {
		w.Header().Set("Allow", http.MethodPost)
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(kind.status())
	d.Result, d.Status = results[kind], kind.status()
}

// observers returns the Guard of the Observer, nil if there is none.
func (h *Handler) observers() *observe.Guard {
	if h.Observer == nil {
		return nil
	}
	h.guarded.Do(func() { h.guard = observe.New(h.logger(), h.Observer) })
	return h.guard
}

func (h *Handler) logger() *slog.Logger { return cmp.Or(h.Logger, slog.Default()) }

// receive stores a delivery, and notes in d what it is about.
func (h *Handler) receive(ctx context.Context, w http.ResponseWriter, r *http.Request, d *Delivery) countKind {
	now := time.Now()
	body, err := readBody(w, r, now.Add(readTimeout))
	var large *http.MaxBytesError
	var late interface{ Timeout() bool }
	switch {
	case r.Method != http.MethodPost:
		return wrongMethod
	case errors.As(err, &large):
		return tooLarge
	case errors.As(err, &late) && late.Timeout():
		return tooSlow
	case err != nil:
		return broken
	}
	event, err := Parse(body, r.Header, h.secrets...)
	if err == nil && len(event.Key()) > maxKey {
		err = malformed("its ids are too long")
	}
	item := Item{Body: body, DeliveryID: d.DeliveryID, ReceivedAt: now, Due: now}
	success := stored
	switch {
	case errors.Is(err, ErrInvalidSignature):
		return invalidSignature
	case err != nil:
		item.Key, item.Held = quarantineMark+digestOf(body), err.Error()
		success = quarantined
	default:
		// Raw, because the same event may come compressed and plain.
		item.Key, item.Transaction, item.Body = event.Key(), event.transactionKey(), event.Raw
		d.Type, d.TransactionID = event.Type.listed(), event.transactionID()
	}
	// The delivery is stored even if the gateway hangs up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), putTimeout)
	defer cancel()
	kind, err := putWithin(ctx, h.inbox, item)
	switch {
	case err != nil:
		h.logger().WarnContext(ctx, "webhook: a delivery could not be stored, the gateway will send it again",
			item.describe("event", "delivery.failed", "error", err)...)
		return unavailable
	case kind == stored && success == quarantined:
		h.logger().ErrorContext(ctx, itemHeld, item.describe("event", "item.held", "reason", item.Held)...)
		return success
	case kind == stored:
		return success
	default:
		return kind
	}
}

// readBody reads a body until a deadline. If the connection supports no deadlines, only the
// server's own timeouts bound the read.
func readBody(w http.ResponseWriter, r *http.Request, deadline time.Time) ([]byte, error) {
	body := r.Body
	if body == nil { // an adapter of a function platform may leave it nil
		body = http.NoBody
	}
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(deadline)
	if r.ContentLength > maxBody {
		return nil, &http.MaxBytesError{Limit: maxBody}
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, body, maxBody))
	if err == nil {
		// Otherwise the deadline would pass while net/http waits for the next request, and cancel
		// the contexts of all requests that follow on the connection (golang/go#70834). A body that
		// was not read to its end keeps the deadline, because net/http reads the rest.
		_ = connection.SetReadDeadline(time.Time{})
	}
	return data, err
}

const (
	// quarantineMark begins the key of a body that cannot be parsed. No event type begins with it.
	quarantineMark = "QUARANTINE#"
	// conflictMark separates an event's key from the digest of a second body for that key. No key
	// of an event contains it.
	conflictMark = "#sha256:"
	// requeuedMark ends the key of an item that replaces the item with the rest of the key.
	requeuedMark = "#REFILED"
)

// put stores an item, and reports whether the inbox had it already. A second body for one key is
// stored under a key of its own.
func put(ctx context.Context, inbox Inbox, item Item) (countKind, error) {
	earlier, err := inbox.Put(ctx, item)
	switch {
	case err != nil || earlier == nil:
		return stored, err
	case *earlier == sha256.Sum256(item.Body):
		return duplicate, nil
	}
	item.Key += conflictMark + digestOf(item.Body)
	if earlier, err = inbox.Put(ctx, item); err != nil || earlier == nil {
		return conflicting, err
	}
	return duplicate, nil
}

// putWithin is put, but returns when the context ends, also if the inbox does not: a SQLite driver
// goes on while it waits for the writer. If the inbox stores the item after all, the next delivery
// of the event is a duplicate.
func putWithin(ctx context.Context, inbox Inbox, item Item) (countKind, error) {
	type outcome struct {
		kind countKind
		err  error
	}
	ended := make(chan outcome, 1)
	go func() {
		defer func() {
			if recover() != nil { // net/http recovers in its own goroutines only
				ended <- outcome{err: errors.New("webhook: the inbox panicked at " + redact.PanicPlace())}
			}
		}()
		kind, err := put(ctx, inbox, item)
		ended <- outcome{kind, err}
	}()
	select {
	case put := <-ended:
		return put.kind, put.err
	case <-ctx.Done():
		return stored, ctx.Err()
	}
}

// printable returns the first characters of an id in visible ASCII. The id is not signed, so it may
// have any content.
func printable(id string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, id[:min(len(id), maxDeliveryID)])
}

func digestOf(body []byte) string {
	digest := sha256.Sum256(body)
	return hex.EncodeToString(digest[:])
}

// countKind is the result of a delivery, and the index of its counter.
type countKind int

const (
	stored countKind = iota
	duplicate
	conflicting
	quarantined
	invalidSignature
	wrongMethod
	tooSlow
	tooLarge
	broken
	unavailable
	countKinds
)

// results are the results as observers see them.
var results = [countKinds]DeliveryResult{
	stored:           DeliveryStored,
	duplicate:        DeliveryDuplicate,
	conflicting:      DeliveryConflicting,
	quarantined:      DeliveryQuarantined,
	invalidSignature: DeliveryInvalidSignature,
	wrongMethod:      DeliveryWrongMethod,
	tooSlow:          DeliveryTooSlow,
	tooLarge:         DeliveryTooLarge,
	broken:           DeliveryBroken,
	unavailable:      DeliveryUnavailable,
}

func (k countKind) status() int {
	switch k {
	case invalidSignature:
		return http.StatusUnauthorized
	case wrongMethod:
		return http.StatusMethodNotAllowed
	case tooSlow:
		return http.StatusRequestTimeout
	case tooLarge:
		return http.StatusRequestEntityTooLarge
	case broken:
		return http.StatusBadRequest
	case unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusOK
	}
}

// Counts are the results of the deliveries to a [Handler], for your metrics. Each delivery is
// counted once.
type Counts struct {
	// Stored counts new events. Duplicates counts events that the inbox had already. Conflicting
	// counts second bodies for a stored event: the [Worker] reads the transaction to find out which
	// body is right. Quarantined counts signed bodies that cannot be parsed and are held for manual
	// review.
	Stored, Duplicates, Conflicting, Quarantined uint64
	// InvalidSignature, WrongMethod, TooSlow, TooLarge and Broken count refused requests; see
	// [Handler] for the responses. A rise of InvalidSignature means an attack, or a CryptoToken
	// that was rotated.
	InvalidSignature, WrongMethod, TooSlow, TooLarge, Broken uint64
	// Unavailable counts deliveries that were not stored because the inbox failed.
	Unavailable uint64
}

// Counts returns the counts since [NewHandler].
func (h *Handler) Counts() Counts {
	n := func(kind countKind) uint64 { return h.counts[kind].Load() }
	return Counts{
		Stored: n(stored), Duplicates: n(duplicate), Conflicting: n(conflicting), Quarantined: n(quarantined),
		InvalidSignature: n(invalidSignature), WrongMethod: n(wrongMethod), TooSlow: n(tooSlow), TooLarge: n(tooLarge),
		Broken: n(broken), Unavailable: n(unavailable),
	}
}

// String lists the counts.
func (c Counts) String() string {
	type plain Counts
	return fmt.Sprintf("%+v", plain(c))
}
