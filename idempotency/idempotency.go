// Package idempotency makes idempotency keys and puts them on requests.
//
// The gateway answers a second request with the same key by repeating the first answer, and creates nothing. So a key must
// be made once per intent, outside of any retry.
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

// Header is the header that carries the key. POST /cash-in, POST /cash-out and POST /cash-in/{id}/refund take one.
const Header = "X-Idempotency-Key"

// ErrInvalidKey is returned for a key that is not a UUID in its usual form of 36 characters, or is the nil or the max UUID.
var ErrInvalidKey = errors.New("idempotency: the key is not a UUID")

// NewKey returns a random key, a UUID version 4.
func NewKey() string { return uuid.NewString() }

// DeriveKey returns the key of an intent, the same in every process and on every day: a UUID of the form of version 4, made
// of a SHA-256 over all arguments. A program that dies after sending and starts again repeats the same key without having
// stored anything.
//
// Namespace keeps integrations apart; package connectpsp uses the client id. Operation is the operation's id in the
// description, such as "createCashOut". Attempt is 0, and one more for each certain rejection after which the same
// reference is to be tried anew.
func DeriveKey(namespace, operation, externalReference string, attempt int) string {
	message := make([]byte, 0, 256) // seldom longer, and then it grows
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

// ParseKey returns a key of the caller's as it is sent: in lower case, for a key that was kept in a column of type uuid comes
// back so, and must be the same key. Any version of UUID will do, but not the nil and the max UUID, which are what a program
// sends that forgot to make one. Its error is ErrInvalidKey.
func ParseKey(key string) (string, error) {
	parsed, err := uuid.Parse(key)
	if err != nil || len(key) != 36 || parsed == uuid.Nil || parsed == uuid.Max {
		return "", ErrInvalidKey
	}
	return strings.ToLower(key), nil
}

// Editor returns a request editor that sets the key. It also keeps net/http from sending the request
// a second time on its own: a transport replays a POST that carries X-Idempotency-Key when a
// kept-alive connection dies, unseen by the caller, unless GetBody is nil (isReplayable in
// net/http/request.go, golang/go#19943).
//
// It returns the error of [ParseKey]. The editor may be shared by goroutines, but it belongs to one intent: every
// retry of that intent uses it, and nothing else does.
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
