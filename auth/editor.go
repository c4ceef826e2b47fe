package auth

import (
	"context"
	"errors"
	"net/http"
)

// ApplicationTokenHeader is the header that names the integration.
const ApplicationTokenHeader = "ApplicationToken"

// canonicalHeader is ApplicationTokenHeader as [http.Header] holds it. Set would make it anew for
// every request.
var canonicalHeader = http.CanonicalHeaderKey(ApplicationTokenHeader)

// TokenSource gives access tokens. ClientCredentials is the one that asks the gateway; a fleet that
// shares one token between processes supplies its own. Implementations must be safe for use by
// several goroutines.
type TokenSource interface {
	// Token returns a token to send now, waiting for one no longer than ctx allows. The caller
	// never keeps it beyond one request.
	Token(ctx context.Context) (Secret, error)

	// Invalidate says that the gateway answered 401 to this token. If the source still gives it
	// out, it must stop; if it has a newer one by now, that one stays.
	Invalidate(token Secret)
}

// Bearer returns a request editor that sets Authorization to a token of source. It fails with the
// error of the source, or if the token is unset. The editor may be shared by goroutines.
func Bearer(source TokenSource) func(context.Context, *http.Request) error {
	return func(ctx context.Context, request *http.Request) error {
		token, err := source.Token(ctx)
		if err != nil {
			return err
		}
		if token.IsZero() {
			return errors.New("auth: the token source gave an unset token")
		}
		request.Header.Set("Authorization", "Bearer "+token.Reveal())
		return nil
	}
}

// ApplicationToken returns a request editor that sets the ApplicationToken header, which every
// operation but POST /auth/token needs. It fails if token is unset. The editor may be shared by
// goroutines.
func ApplicationToken(token Secret) func(context.Context, *http.Request) error {
	return func(_ context.Context, request *http.Request) error {
		if token.IsZero() {
			return errors.New("auth: the application token is not set")
		}
		request.Header[canonicalHeader] = []string{token.Reveal()}
		return nil
	}
}
