package simulation

import (
	"context"
	"fmt"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// call is one call of a method of the client, on a goroutine of its own.
type call struct {
	number     int
	begun      time.Time // zero for what Recover reports
	action     string
	order      *order   // nil for Recover
	process    *process // nil until it begins, if any process may make it
	debit      int      // the order's debits when it began
	key        string
	reference  string
	mismatched bool // it is invalid, or its options are not those of the payment
	forgotten  bool // the order's, when it began
	cancel     context.CancelFunc
	handle     func(*call) // acts upon the outcome

	// Its outcome.
	transactionID string
	recordedAt    int        // when the journal that processes share took the outcome, 0 if it did not
	amount        pix.Amount // of a payment that was read
	recovered     []connectpsp.Recovered
	err           error
	panicked      any
}

type callKey struct{}

// callOf returns the call that a context belongs to, nil if it belongs to none.
func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

func (c *call) String() string { return fmt.Sprintf("call %d", c.number) }

// title describes the call in a story.
func (c *call) title() string {
	if c.order == nil {
		return fmt.Sprintf("process %d %s", c.process.number, c.action)
	}
	return fmt.Sprintf("process %d %s %s, attempt %d", c.process.number, c.action, c.reference, c.order.attempt)
}

// begin makes a call, with a deadline now and then.
func (s *schedule) begin(c *call, do func(context.Context, *connectpsp.Client)) {
	c.number, c.begun = s.nextNumber(), time.Now()
	if c.process == nil {
		c.process = s.pickProcess()
	}
	deadlines := [...]time.Duration{0, 41 * time.Second, 7 * time.Second, 100 * time.Second}
	ctx := context.WithValue(c.process.ctx, callKey{}, c)
	if deadline := deadlines[s.choices.choose(len(deadlines), 15)]; deadline != 0 {
		// No two deadlines are equal. Otherwise it would depend on the runtime which is first.
		ctx, c.cancel = context.WithTimeout(ctx, deadline+time.Duration(c.number)*time.Microsecond)
	} else {
		ctx, c.cancel = context.WithCancel(ctx)
	}
	if s.tracing {
		s.note("%v begins: %s", c, c.title())
	}
	c.process.calls = append(c.process.calls, c)
	client := c.process.clients[0]
	if n := len(c.process.clients); n > 1 {
		client = c.process.clients[s.choices.choose(n, 50)]
	}
	go func() {
		defer func() {
			c.cancel()
			c.panicked = recover()
			s.mu.Lock()
			s.returned = append(s.returned, c)
			s.mu.Unlock()
			s.notify()
		}()
		do(ctx, client)
	}()
}
