package sandbox

import (
	"errors"
	"net/http"
	"time"

	"github.com/connectpsp/connectpsp-go/pix"
)

// Option configures the sandbox that [Start] returns. A nil Option is not allowed.
type Option func(*options)

type options struct {
	middleware    func(http.Handler) http.Handler
	transactional pix.Amount
	proprietary   pix.Amount
	tokenLifetime time.Duration
}

// defaultOptions has the balances of the provider's published example.
func defaultOptions() options {
	return options{
		middleware:    func(next http.Handler) http.Handler { return next },
		transactional: pix.Centavos(500_000_00),
		proprietary:   pix.Centavos(1_000_000_00),
		tokenLifetime: time.Hour,
	}
}

// WithMiddleware wraps the gateway in a handler of the caller's, for example one that logs, or that
// checks requests and responses against the API's description. The middleware is inside of the
// faults of [Sandbox.FailNext]: it sees a whole response that a fault loses or cuts later, and it
// sees no request that a fault loses or responds to. Of several WithMiddleware the last one counts.
// The middleware must not be nil.
func WithMiddleware(middleware func(http.Handler) http.Handler) Option {
	return func(o *options) { o.middleware = middleware }
}

// WithBalance sets the initial balances. The defaults are R$ 500,000.00 and R$ 1,000,000.00.
// [Start] fails unless both are from R$ 0.00 to R$ 9,999,999,999.99.
func WithBalance(transactional, proprietary pix.Amount) Option {
	return func(o *options) { o.transactional, o.proprietary = transactional, proprietary }
}

// WithTokenLifetime sets the lifetime of access tokens on the sandbox's clock. The default is one
// hour. [Start] fails if it is shorter than a second, the unit in which the gateway states it.
func WithTokenLifetime(lifetime time.Duration) Option {
	return func(o *options) { o.tokenLifetime = lifetime }
}

func (o options) validate() error {
	for _, balance := range []pix.Amount{o.transactional, o.proprietary} {
		if balance.Centavos() < 0 || balance.Centavos() > largestAmount {
			return errors.New("sandbox: a balance must be from R$ 0.00 to R$ 9,999,999,999.99")
		}
	}
	if o.tokenLifetime < time.Second {
		return errors.New("sandbox: the lifetime of tokens must be at least a second")
	}
	return nil
}
