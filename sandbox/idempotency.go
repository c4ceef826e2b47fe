package sandbox

import (
	"bytes"
	"fmt"
	"net/http"
	"time"

	"github.com/connectpsp/connectpsp-go/idempotency"
)

// execution is a request that was executed under an idempotency key, with its response.
type execution struct {
	Path     string    `json:"path"`
	Body     []byte    `json:"body"`
	Response response  `json:"response"` // without a QR code: that can be made anew
	At       time.Time `json:"at"`
}

// ForgetKeys makes the gateway forget all idempotency keys: a request with a key that was used
// executes like a new one.
func (s *Sandbox) ForgetKeys() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.executed)
}

// SetKeyLifetime makes the gateway forget an idempotency key this long after its request, also one
// that was used before this call, as [WithKeyLifetime] does from the start. Zero is never. The
// error wraps [ErrInvalid] if the lifetime is negative.
func (s *Sandbox) SetKeyLifetime(lifetime time.Duration) error {
	if lifetime < 0 {
		return fmt.Errorf("%w: the lifetime of idempotency keys must not be negative", ErrInvalid)
	}
	if lifetime == 0 {
		lifetime = forever
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keyLifetime = lifetime
	return nil
}

// SetUniqueReferences says whether the gateway refuses an externalReference that was used before,
// as [WithUniqueReferences] does from the start.
func (s *Sandbox) SetUniqueReferences(unique bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uniqueReferences = unique
}

// SetRepeatedRefusals says whether the gateway repeats a refusal under the same idempotency key, as
// [WithRepeatedRefusals] does from the start.
func (s *Sandbox) SetRepeatedRefusals(repeated bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repeatedRefusals = repeated
}

// idempotencyKey returns the key of a request in lower case, or "" if the request has none or the
// operation takes none.
func idempotencyKey(op operation, header http.Header) (string, error) {
	key := header.Get(idempotency.Header)
	if !op.Keyed || key == "" {
		return "", nil
	}
	canonical, err := idempotency.ParseKey(key)
	if err != nil {
		return "", invalidRequest("%s must be a UUID.", idempotency.Header)
	}
	return canonical, nil
}

// onceLocked executes a request unless its key was used before. If the key was used, onceLocked
// repeats the response to the same request and refuses another request. It compares paths, not
// operations: each path has only one operation that takes a key.
func (s *Sandbox) onceLocked(key string, path string, body []byte, execute func() response) response {
	now := s.clock.now()
	if earlier, used := s.executed[key]; used && now.Sub(earlier.At) < s.keyLifetime {
		if earlier.Path != path || !bytes.Equal(earlier.Body, body) {
			return refusalOf(refuse(http.StatusUnprocessableEntity, "IDEMPOTENCY_KEY_REUSED",
				"The idempotency key was used for another request."))
		}
		return earlier.Response.withQRCode()
	}
	result := execute()
	if repeatable(result.Status) && (s.repeatedRefusals || result.Status/100 == 2) {
		s.executed[key] = execution{Path: path, Body: body, Response: result.withoutQRCode(), At: now}
	}
	return result
}

// repeatable reports whether the gateway repeats a response of a status.
func repeatable(status int) bool {
	switch status {
	case http.StatusCreated, http.StatusAccepted, http.StatusConflict, http.StatusUnprocessableEntity:
		return true
	}
	return false
}
