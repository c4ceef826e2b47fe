package sandbox

import (
	"bytes"
	"net/http"

	"github.com/connectpsp/connectpsp-go/idempotency"
)

// memory is a request that was executed under an idempotency key, and its answer.
type memory struct {
	path   string
	body   []byte
	answer answer
}

// idempotencyKey returns the key of a request in lower case, or "" if it has none or the operation
// takes none.
func idempotencyKey(operation operation, header http.Header) (string, error) {
	key := header.Get(idempotency.Header)
	if !operation.Keyed || key == "" {
		return "", nil
	}
	canonical, err := idempotency.ParseKey(key)
	if err != nil {
		return "", invalidRequest("%s must be a UUID.", idempotency.Header)
	}
	return canonical, nil
}

// once executes a request unless its key was used before. Then it repeats the answer if the request
// is the same, and refuses it if it is another one. The lock is held. Each path has only one
// operation that takes a key, so the path stands for both.
func (s *Sandbox) once(key string, path string, body []byte, execute func() answer) answer {
	if earlier, used := s.remembered[key]; used {
		if earlier.path != path || !bytes.Equal(earlier.body, body) {
			return refusalOf(refuse(http.StatusUnprocessableEntity, "IDEMPOTENCY_KEY_REUSED",
				"The idempotency key was used for another request."))
		}
		return earlier.answer
	}
	answer := execute()
	switch answer.status {
	case http.StatusConflict, http.StatusUnprocessableEntity, http.StatusCreated, http.StatusAccepted:
		s.remembered[key] = memory{path: path, body: body, answer: answer}
	}
	return answer
}
