package webhook

import (
	"errors"
	"fmt"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/redact"
)

// unasked makes the error of a read safe for the log and the inbox. The error of a call that was
// not sent quotes the error of the token source, and a user's token source may put a token there.
func unasked(err error) error {
	var failure *connectpsp.APIError
	if !errors.Is(err, connectpsp.ErrNotSent) || !errors.As(err, &failure) || failure.Err == nil {
		return err
	}
	return fmt.Errorf("webhook: the gateway could not be asked: %w", redact.Error(failure.Err))
}
