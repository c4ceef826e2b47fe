package auth

import (
	"context"
	"errors"
	"net/http"
)

// ApplicationTokenHeader is the header that names the integration.
const ApplicationTokenHeader = "ApplicationToken"

// canonicalHeader is ApplicationTokenHeader as [http.Header] has it. Set would allocate it for
// every request.
var canonicalHeader = http.CanonicalHeaderKey(ApplicationTokenHeader)

// TokenSource supplies access tokens. [ClientCredentials] requests them from the gateway; a fleet
// that shares one token between processes has a source of its own. Goroutines call the methods
// concurrently.
type TokenSource interface {
	// Token returns a token to send now. It waits for one no longer than ctx allows. The caller
	// uses the token for one request.
	Token(ctx context.Context) (Secret, error)

	// Invalidate reports that the gateway responded 401 to this token. The source must not return
	// the token again. If the source has a newer token by now, that one stays.
	Invalidate(token Secret)
}

// Bearer returns a request editor that sets the Authorization header to a token of source. The
// editor fails with the error of the source, or if the token is unset. Goroutines may share it.
func Bearer(source TokenSource) func(context.Context, *http.Request) error {
	return func(ctx context.Context, request *http.Request) error {
		token, err := source.Token(ctx)
		if err != nil {
			return err
		}
		if token.IsZero() {
			return errors.New("auth: the token source returned an unset token")
		}
		request.Header.Set("Authorization", "Bearer "+token.Reveal())
		return nil
	}
}

// ApplicationToken returns a request editor that sets the ApplicationToken header. Every operation
// except POST /auth/token needs it. The editor fails if token is unset. Goroutines may share it.
func ApplicationToken(token Secret) func(context.Context, *http.Request) error {
	return func(_ context.Context, request *http.Request) error {
		if token.IsZero() {
			return errors.New("auth: the application token is not set")
		}
		request.Header[canonicalHeader] = []string{token.Reveal()}
		return nil
	}
}
