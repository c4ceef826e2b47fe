package sandbox

import (
	"fmt"
	"net/http"
	"regexp"
)

var codeForm = regexp.MustCompile(`^[A-Z0-9]+(_[A-Z0-9]+)*$`)

// RefuseNext makes the gateway refuse the next request of an operation with a problem of its own:
// with a status from 400 to 599 and a code, such as 422 and "LIMIT_EXCEEDED". It executes nothing,
// and leaves the idempotency key unused. The refusal queues up behind the faults of
// [Sandbox.FailNext]. The error wraps [ErrInvalid] if the operationId, the status or the code is
// none.
func (s *Sandbox) RefuseNext(operationID string, status int, code string) error {
	switch {
	case !isOperation(operationID):
		return fmt.Errorf("%w: there is no operation %q", ErrInvalid, operationID)
	case !isRefusal(status, code):
		return fmt.Errorf("%w: a refusal has a status from 400 to 599, and a code of capitals, digits and single underscores", ErrInvalid)
	}
	s.queueFailures(operationID, failure{Status: status, Code: code})
	return nil
}

func isRefusal(status int, code string) bool {
	return status >= http.StatusBadRequest && status <= 599 && codeForm.MatchString(code)
}
