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
// from the sandbox if it reads any. A sandbox that is started with sandbox.WithCredentialsOf has
// the same CryptoToken each time, and new ids, so the receiver may keep its database.
//
// # What a pass means
//
// A receiver that passes responded in time to every event, and credited every payment once, within
// 20 seconds of its event. It may credit later than it responds, from a queue for example. The
// suite measures how long that takes: after each event that must not be credited comes one that
// must, and after the last of these the suite waits three times as long as the slowest credit took,
// at least two seconds, and compares all credits once more.
//
// So a pass does not mean that the receiver never credits the wrong amount later: it may have put
// an event aside and try it again an hour later. Nor is it tested what happens when the receiver or
// its database stops in the middle of its work, when several of its processes share a database, or
// when a payment is returned that was credited before. Cash-outs are not tested.
package conformance

import (
	"context"
	"testing"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// Receiver is the receiver to be tested. Goroutines call its functions concurrently.
type Receiver struct {
	// URL is the address of its endpoint for webhooks.
	URL string
	// Expect tells the receiver of a charge before its payment, as the code that creates charges
	// does. Nil if the receiver credits charges that it does not know.
	Expect func(ctx context.Context, charge *connectpsp.CashIn) error
	// Credited returns how much the receiver has credited so far for the charge with a reference.
	// Amounts that were credited twice count twice. It returns zero, and no error, for a charge for
	// which nothing is credited.
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

// Check tests one case, in two minutes at most. The error says what the receiver did wrong; it is
// the error of ctx if that ends first.
func (c Case) Check(ctx context.Context, gateway *sandbox.Sandbox, receiver Receiver) error {
	s, err := newSuite(gateway, receiver)
	if err != nil {
		return err
	}
	runs := s.check(ctx, []Case{c})
	s.settle(ctx, runs)
	return runs[0].err
}

// Result is the outcome of a case.
type Result struct {
	Case
	// Err is the error of [Case.Check], nil if the receiver passed.
	Err error
}

// CheckAll tests the first case, and then all others at once. It returns their results in the order
// of [Cases]. If the first case fails it returns only that result: a receiver that does not credit
// a valid event fails in every case, for the same reason.
func CheckAll(ctx context.Context, gateway *sandbox.Sandbox, receiver Receiver) []Result {
	s, err := newSuite(gateway, receiver)
	if err != nil {
		return []Result{{cases[0], err}}
	}
	runs := s.check(ctx, cases[:1])
	if runs[0].err == nil {
		runs = append(runs, s.check(ctx, cases[1:])...)
	}
	s.settle(ctx, runs)
	results := make([]Result, len(runs))
	for n, r := range runs {
		results[n] = Result{cases[n], r.err}
	}
	return results
}

// Run tests all cases as [CheckAll] does, and reports each as a subtest.
func Run(t *testing.T, gateway *sandbox.Sandbox, receiver Receiver) {
	t.Helper()
	results := CheckAll(t.Context(), gateway, receiver)
	for n, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			switch {
			case n >= len(results):
				t.Skip("the first case failed, so this one was not tested")
			case results[n].Err != nil:
				t.Errorf("%v\n%s", results[n].Err, c.Why)
			}
		})
	}
}
