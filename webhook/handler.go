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
	"sync/atomic"
	"time"

	"github.com/connectpsp/connectpsp-go/auth"
)

// The gateway waits five seconds for its 200.
const (
	readTimeout = time.Second     // to read the body
	putTimeout  = 3 * time.Second // to keep it
	maxBody     = 64 << 10        // an event is about a thousand bytes long
	longestKey  = 1 << 10         // and its key about a hundred; PostgreSQL has no index on more than 2,700
	longestID   = 100             // of a delivery: a UUID has 36
)

// Handler receives deliveries: it verifies each, puts it into an Inbox, and answers 200 when it is
// durable there and not before. A Worker processes it after the response.
// It fits any router, and may be shared by goroutines.
//
//	200  the event is kept, was kept before, or is signed and unreadable (or its ids are monstrous) and kept for a person
//	401  the signature is missing or wrong
//	405  not a POST
//	408  the body did not arrive within a second
//	413  the body is larger than 64 KiB
//	400  the body broke off
//	503  the inbox failed, or took longer than three seconds: the gateway will send it again
//
// No answer has a body. Give the server a ReadHeaderTimeout, an IdleTimeout and MaxHeaderBytes, for
// the handlers around it. A middleware may read the body, if it leaves the
// bytes as they are; one that wraps the ResponseWriter must have an Unwrap method, or the time for
// the body is bounded by the server's ReadTimeout only. Once the body is read the Handler takes its
// time limit from the connection again, so that it serves later requests as before.
type Handler struct {
	// Logger gets, at level warning, why the inbox failed, in the inbox's own words. No personal
	// data is added. Nil stands for [slog.Default]; for silence set slog.New(slog.DiscardHandler).
	// Set it before the Handler is used.
	Logger *slog.Logger

	inbox   Inbox
	secrets []auth.Secret
	counts  [countKinds]atomic.Uint64
}

// NewHandler returns a Handler that fills inbox. The secrets are as for Parse: the CryptoToken, and
// while it is being replaced the previous one too. Unset ones are skipped. It is an error if none
// is set, if one is no CryptoToken because it holds a space, a line break or the like, or if inbox
// is nil.
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
			return nil, errors.New("webhook: a CryptoToken consists of visible ASCII characters without spaces; " +
				"one that is read from a file may end in a line break")
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
	kind := h.receive(w, r)
	h.counts[kind].Add(1)
	if kind == wrongMethod {
		w.Header().Set("Allow", http.MethodPost)
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(kind.status())
}

func (h *Handler) receive(w http.ResponseWriter, r *http.Request) countKind {
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
	if err == nil && len(event.Key()) > longestKey {
		err = malformed("its ids are too long")
	}
	item := Item{Body: body, DeliveryID: printable(r.Header.Get("X-Event-Id")), ReceivedAt: now, Due: now}
	success := stored
	switch {
	case errors.Is(err, ErrInvalidSignature):
		return invalidSignature
	case err != nil:
		item.Key, item.Held = quarantineMark+digestOf(body), err.Error()
		success = quarantined
	default:
		// Raw, because the same event may come packed and unpacked.
		item.Key, item.Transaction, item.Body = event.Key(), event.transactionKey(), event.Raw
	}
	// The gateway may hang up without this making its delivery undone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), putTimeout)
	defer cancel()
	kind, err := putWithin(ctx, h.inbox, item)
	switch {
	case err != nil:
		logger := cmp.Or(h.Logger, slog.Default())
		logger.WarnContext(ctx, "webhook: a delivery could not be kept, and will come again", "key", item.Key, "error", err)
		return unavailable
	case kind == stored:
		return success
	default:
		return kind
	}
}

// readBody reads a body until a deadline. Where deadlines are not supported the server's own
// time-outs are all there is.
func readBody(w http.ResponseWriter, r *http.Request, deadline time.Time) ([]byte, error) {
	body := r.Body
	if body == nil { // as adapters of function platforms leave it
		body = http.NoBody
	}
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(deadline)
	if r.ContentLength > maxBody {
		return nil, &http.MaxBytesError{Limit: maxBody}
	}
	read, err := io.ReadAll(http.MaxBytesReader(w, body, maxBody))
	if err == nil {
		// Else the deadline would pass while net/http waits for the next request, and cancel the
		// contexts of all that follow on the connection (golang/go#70834). Of a body that is not at
		// its end it stays, for net/http reads on.
		_ = connection.SetReadDeadline(time.Time{})
	}
	return read, err
}

const (
	// quarantineMark begins the key of a body that cannot be read. No type of an event does.
	quarantineMark = "QUARANTINE#"
	// conflictMark stands between an event's key and the digest of a body that is not the first for
	// this key. No key of an event contains it.
	conflictMark = "#sha256:"
	// refiledMark ends the key of an item that was put in the place of another with this key.
	refiledMark = "#REFILED"
)

// put keeps an item, and says whether it was there. A second body for one key is kept beside the
// first.
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

// putWithin is put, but returns when the context ends. An inbox may go on, as a driver of SQLite
// does while it waits for the writer. If it keeps the item after all, the next delivery of the
// event is a duplicate.
func putWithin(ctx context.Context, inbox Inbox, item Item) (countKind, error) {
	type outcome struct {
		kind countKind
		err  error
	}
	ended := make(chan outcome, 1)
	go func() {
		defer func() {
			if recover() != nil { // net/http recovers in its own goroutines only
				ended <- outcome{err: errors.New("webhook: the inbox panicked at " + panicPlace())}
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

// printable returns the beginning of an id that was not signed: it may be anything.
func printable(id string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, id[:min(len(id), longestID)])
}

func digestOf(body []byte) string {
	digest := sha256.Sum256(body)
	return hex.EncodeToString(digest[:])
}

// countKind is the result of a delivery.
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

// Counts are the results of the deliveries to a Handler, for your metrics. Each is counted once.
type Counts struct {
	// Stored are new events. Duplicates were kept before. Conflicting are a further body for an
	// event that is kept: the gateway is asked which is right. Quarantined are signed and cannot be
	// read, and kept for a person.
	Stored, Duplicates, Conflicting, Quarantined uint64
	// InvalidSignature and the others were refused; see Handler for the answers. A rise of
	// InvalidSignature is an attack, or a CryptoToken that was replaced.
	InvalidSignature, WrongMethod, TooSlow, TooLarge, Broken uint64
	// Unavailable were not kept because the inbox failed.
	Unavailable uint64
}

// Counts returns the counts since the Handler was made.
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
