// Package conformance tests receivers of webhooks, in any language, over HTTP. It posts what the
// gateway and attackers post, and compares what the receiver has credited with what was paid.
//
//	func TestMyReceiver(t *testing.T) {
//		gateway, err := sandbox.Start()
//		…
//		conformance.Run(t, gateway, conformance.Receiver{URL: url, Expect: expect, Credited: credited})
//	}
//
// The receiver must verify signatures with the CryptoToken of the sandbox, and read transactions
// from the sandbox if it reads any.
package conformance

import (
	"context"
	"testing"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// Receiver is the receiver to be tested.
type Receiver struct {
	// URL is the address of its endpoint for webhooks.
	URL string
	// Expect tells the receiver of a charge before its payment, as the code that creates charges
	// does. Nil if the receiver credits charges that it does not know.
	Expect func(ctx context.Context, charge *connectpsp.CashIn) error
	// Credited returns how much the receiver has credited so far for the charge with a reference.
	// Amounts that were credited twice count twice.
	Credited func(ctx context.Context, externalReference string) (pix.Amount, error)
}

// Case is one property of a receiver.
type Case struct {
	// Name is the property, such as "an event that is repeated is credited once".
	Name string
	// Why says what a receiver without the property costs.
	Why string

	check func(*run)
}

// Cases returns all cases. Each works by itself, in any order, and several at once.
func Cases() []Case { return append([]Case(nil), cases...) }

// Check tests one case, which takes up to a minute. The error says what the receiver did wrong; it
// is the error of ctx if that ends first.
func (c Case) Check(ctx context.Context, gateway *sandbox.Sandbox, receiver Receiver) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	client, err := connectpsp.New(gateway.Config())
	if err != nil {
		return err
	}
	r := &run{ctx: ctx, stop: stop, gateway: gateway, client: client, receiver: receiver, secret: gateway.Config().CryptoToken.Reveal()}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.check(r)
	}()
	<-ended
	return context.Cause(ctx)
}

// Run tests all cases, in parallel.
func Run(t *testing.T, gateway *sandbox.Sandbox, receiver Receiver) {
	t.Run("receiver", func(t *testing.T) { // ends when all cases have
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				if err := c.Check(t.Context(), gateway, receiver); err != nil {
					t.Errorf("%v\n%s", err, c.Why)
				}
			})
		}
	})
}
