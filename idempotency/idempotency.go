// Package idempotency makes idempotency keys and adds them to requests.
//
// The gateway deduplicates requests by key: it responds to a second request with the same key as to
// the first, and creates nothing. So make one key for each intent, outside of any retry.
//
// Package [connectpsp] does this by itself. [Editor] does it for the raw client of package [gen].
//
// [connectpsp]: https://pkg.go.dev/github.com/connectpsp/connectpsp-go/connectpsp
// [gen]: https://pkg.go.dev/github.com/connectpsp/connectpsp-go/gen
package idempotency

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/http"
	"strings"

	"github.com/google/uuid"
)

// Header is the header that carries the key. POST /cash-in, POST /cash-out and POST
// /cash-in/{id}/refund take one.
const Header = "X-Idempotency-Key"

// ErrInvalidKey is returned for a key that is not a UUID in its usual form of 36 characters, or is
// the nil or the max UUID.
var ErrInvalidKey = errors.New("idempotency: the key is not a UUID")

// NewKey returns a random key, a UUID version 4.
func NewKey() string { return uuid.NewString() }

// DeriveKey returns the key of an intent: a UUID of the form of version 4 that is made of a SHA-256
// of all arguments. The same arguments give the same key in every process and at any time, so a
// program that dies after sending and starts again repeats the key without having stored it.
//
// Namespace keeps integrations apart; package connectpsp uses the client id. Operation is the id of
// the operation in the description, such as "createCashOut". Attempt is 0 at first; add one for
// each certain rejection after which you pay under the same reference again.
func DeriveKey(namespace, operation, externalReference string, attempt int) string {
	message := make([]byte, 0, 256) // long enough for usual arguments
	for _, part := range [...]string{"connectpsp idempotency key 1", namespace, operation, externalReference} {
		message = binary.BigEndian.AppendUint64(message, uint64(len(part)))
		message = append(message, part...)
	}
	message = binary.BigEndian.AppendUint64(message, uint64(attempt))

	sum := sha256.Sum256(message)
	key := uuid.UUID(sum[:16])
	key[6] = key[6]&0x0f | 0x40 // version 4
	key[8] = key[8]&0x3f | 0x80 // variant of RFC 9562
	return key.String()
}

// ParseKey returns a key in the form in which it is sent: lower case, because a key comes back in
// lower case from a column of type uuid and must be the same key then. Any version of UUID is
// valid, except the nil and the max UUID, which a program sends that forgot to make a key. The
// error is [ErrInvalidKey].
func ParseKey(key string) (string, error) {
	parsed, err := uuid.Parse(key)
	if err != nil || len(key) != 36 || parsed == uuid.Nil || parsed == uuid.Max {
		return "", ErrInvalidKey
	}
	return strings.ToLower(key), nil
}

// Editor returns a request editor that sets the key. The editor also keeps net/http from sending
// the request a second time by itself: when a kept-alive connection dies, a transport replays a
// POST that has an X-Idempotency-Key, unseen by the caller, unless GetBody is nil (isReplayable in
// net/http/request.go, golang/go#19943).
//
// The editor fails with the error of [ParseKey]. Goroutines may share it, but it belongs to one
// intent: use it for each retry of that intent and for no other request.
func Editor(key string) func(context.Context, *http.Request) error {
	return func(_ context.Context, request *http.Request) error {
		canonical, err := ParseKey(key)
		if err != nil {
			return err
		}
		request.Header.Set(Header, canonical)
		request.GetBody = nil
		return nil
	}
}
