package sandbox

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/http"
	"time"

	"github.com/connectpsp/connectpsp-go/pix"
)

// Option configures the sandbox that [Start] returns. A nil Option is not allowed.
type Option func(*options)

type options struct {
	middleware       func(http.Handler) http.Handler
	transactional    pix.Amount
	proprietary      pix.Amount
	tokenLifetime    time.Duration
	keyLifetime      time.Duration
	uniqueReferences bool
	repeatedRefusals bool
	time             *time.Time
	seed             *uint64
	credentials      *uint64
	memoryNetwork    bool
	privateNetwork   bool
}

// forever is longer than any sandbox lives.
const forever = time.Duration(1<<63 - 1)

// defaultOptions has the balances of the provider's published example.
func defaultOptions() options {
	return options{
		middleware:       func(next http.Handler) http.Handler { return next },
		transactional:    pix.Centavos(500_000_00),
		proprietary:      pix.Centavos(1_000_000_00),
		tokenLifetime:    time.Hour,
		keyLifetime:      forever,
		uniqueReferences: true,
		repeatedRefusals: true,
	}
}

// WithMiddleware wraps the gateway in a handler of the caller's, for example one that logs, or that
// checks requests and responses against the API's description. The middleware is inside of the
// faults of [Sandbox.FailNext] and of the rate limit: it sees a whole response that a fault loses
// or cuts later, and it sees no request that a fault loses or responds to. Of several
// WithMiddleware the last one counts. The middleware must not be nil.
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

// WithKeyLifetime makes the gateway forget an idempotency key this long after its request, on the
// sandbox's clock. The provider publishes no lifetime; other gateways are known to forget after 20
// minutes or 24 hours. Without this option keys live for ever. [Start] fails if the lifetime is not
// positive. [Sandbox.ForgetKeys] forgets all keys at once.
func WithKeyLifetime(lifetime time.Duration) Option {
	return func(o *options) { o.keyLifetime = lifetime }
}

// WithUniqueReferences says whether the gateway refuses an externalReference that was used before,
// with 409. The default is true. With false only the idempotency key keeps a payment from being
// made twice.
func WithUniqueReferences(unique bool) Option {
	return func(o *options) { o.uniqueReferences = unique }
}

// WithPrivateNetwork lets webhooks go to private networks too, such as that of a container's
// neighbours. Without this option they go to loopback addresses only.
func WithPrivateNetwork() Option {
	return func(o *options) { o.privateNetwork = true }
}

// WithRepeatedRefusals says whether the gateway repeats a refusal, of 409 or 422, under the same
// idempotency key. The default is true. With false a refused request leaves its key unused, so the
// gateway executes the next request with that key.
func WithRepeatedRefusals(repeated bool) Option {
	return func(o *options) { o.repeatedRefusals = repeated }
}

// WithTime makes the sandbox's clock stand still at t. Only [Sandbox.Advance] and the methods like
// it move it, and a webhook that fails waits for them. [Start] fails unless t is in the years 2000
// to 2199.
func WithTime(t time.Time) Option {
	return func(o *options) { o.time = &t }
}

// WithSeed derives all that the sandbox draws at random from a seed: credentials, ids, access
// tokens and the X-Event-Id of each delivery. Webhooks are then sent one after the other. With
// [WithTime] too, the same calls in the same order get the same bytes, signatures included. The
// port is not derived: with [WithMemoryNetwork] it is always the same. A bubble of
// [testing/synctest] has a clock of its own and needs no WithTime.
//
// The credentials of a seed are no secrets: anyone can derive them.
func WithSeed(seed uint64) Option {
	return func(o *options) { o.seed = &seed }
}

// WithCredentialsOf derives only the credentials from a seed: they are those of [WithSeed], and ids
// are new each time. A program under test can keep its credentials and its database from one
// sandbox to the next.
func WithCredentialsOf(seed uint64) Option {
	return func(o *options) { o.credentials = &seed }
}

func (o options) validate() error {
	for _, balance := range []pix.Amount{o.transactional, o.proprietary} {
		if !isBalance(balance) {
			return errors.New("sandbox: a balance must be from R$ 0.00 to R$ 9,999,999,999.99")
		}
	}
	if o.tokenLifetime < time.Second {
		return errors.New("sandbox: the lifetime of tokens must be at least a second")
	}
	if o.keyLifetime <= 0 {
		return errors.New("sandbox: the lifetime of idempotency keys must be positive")
	}
	if o.time != nil && (o.time.Before(earliestTime) || o.time.After(latestTime)) {
		return errors.New("sandbox: the time must be in the years 2000 to 2199")
	}
	return nil
}

// chanceOf returns the source of all that derives from a seed; nil draws one at random.
func chanceOf(seed *uint64) (c chance) {
	if seed == nil {
		_, _ = rand.Read(c.key[:]) // never fails
		return c
	}
	c.key = sha256.Sum256(binary.BigEndian.AppendUint64([]byte("connectpsp sandbox "), *seed))
	return c
}
