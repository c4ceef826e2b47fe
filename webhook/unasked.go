package webhook

import (
	"errors"
	"fmt"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/redact"
)

// unasked returns err, of a call of the client, as it may be logged and kept in the inbox. A call that was not sent has the
// error of the token source in its text, and that may be one of the user's with a token in its words.
func unasked(err error) error {
	var failure *connectpsp.APIError
	if !errors.Is(err, connectpsp.ErrNotSent) || !errors.As(err, &failure) || failure.Err == nil {
		return err
	}
	return fmt.Errorf("webhook: the gateway could not be asked: %w", redact.Error(failure.Err))
}
