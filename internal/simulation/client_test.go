package simulation

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
)

const clientID = "1024"

// config is that of every client. Nothing is sent to the host.
func config() connectpsp.Config {
	return connectpsp.Config{
		ClientID:         clientID,
		ClientSecret:     auth.NewSecret("c1f6a1f0-0000-4000-8000-00005ec7e700"),
		ApplicationToken: auth.NewSecret("a99b1c3e-1111-4111-8111-0a99110ca710"),
		CryptoToken:      auth.NewSecret("b3f1c1c0-1d0a-4f6e-9c5e-6d0f2a7b9e11"),
		BaseURL:          "https://gateway.example",
	}
}

// The outcomes of a call. A call that ends in none of them breaks the first promise about money.
const (
	accepted = "accepted"
	rejected = "rejected"
	conflict = "conflict: an APIError whose outcome is unknown"
	unknown  = "unknown"
)

func outcomeOf(err error) string {
	var apiError *connectpsp.APIError
	var validation *connectpsp.ValidationError
	var unknownOutcome *connectpsp.UnknownOutcomeError
	switch {
	case err == nil:
		return accepted
	case errors.As(err, &unknownOutcome) && errors.Is(err, connectpsp.ErrUnknownOutcome):
		return unknown
	case errors.As(err, &apiError) && errors.Is(err, connectpsp.ErrUnknownOutcome):
		return conflict
	case errors.As(err, &apiError), errors.As(err, &validation):
		return rejected
	default:
		return "none of the outcomes: " + err.Error()
	}
}

// tokenStub hands out access tokens to all processes, without the gateway. Token n+1 is handed out
// once n tokens have been invalidated.
type tokenStub struct{ invalidated atomic.Int32 }

func (s *tokenStub) Token(context.Context) (auth.Secret, error) {
	return auth.NewSecret(tokenNumber(s.invalidated.Load())), nil
}

// Invalidate does nothing unless token is the current one: others have been replaced already.
func (s *tokenStub) Invalidate(token auth.Secret) {
	n := s.invalidated.Load()
	if token.Reveal() == tokenNumber(n) {
		s.invalidated.CompareAndSwap(n, n+1)
	}
}

func tokenNumber(invalidated int32) string { return fmt.Sprintf("header.payload.%d", invalidated+1) }

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
