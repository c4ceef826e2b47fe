//go:build unix

package integration

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

const (
	callBegin   = "Begin"
	callFind    = "Find"
	callSent    = "Sent"
	callAccept  = "Finish ACCEPTED"
	callReject  = "Finish REJECTED"
	callPending = "Pending" // and whether the payment is in the list
	endLease    = "the lease ends"
)

// operation is a call of the journal for a payment.
type operation struct {
	Process          int
	Method           string
	Payment          string
	Attempt          int    // stands for the idempotency key
	Result           string // empty if it is not known: the call takes effect at any later time, or never
	Called, Returned int64  // in nanoseconds of CLOCK_MONOTONIC
}

func (o operation) mayHaveSucceeded() bool { return o.Result == "" || o.Result == "nil" }

func (o operation) mayHaveFailed() bool {
	return o.Result == "" || strings.HasPrefix(o.Result, "error")
}

// reads reports whether other processes cannot see the effect of a call.
func (o operation) reads() bool {
	return o.Method == callBegin || o.Method == callFind || o.Method == callPending
}

// String describes an operation on a line.
func (o operation) String() string {
	if o.Method == endLease {
		return fmt.Sprintf("process %d: %s", o.Process, o.Method)
	}
	return fmt.Sprintf("process %d: %s (attempt %d): %s", o.Process, o.Method, o.Attempt, cmp.Or(o.Result, "has not returned"))
}

// describe describes an intent as a result.
func describe(attempt int, outcome connectpsp.Outcome, leased bool) string {
	text := fmt.Sprintf("attempt %d, %s", attempt, cmp.Or(outcome, "open"))
	if leased {
		text += ", leased"
	}
	return text
}

const (
	mostProcesses = 32 // that call for one payment
	attempts      = 2
)

// payment is the model: a payment in a [connectpsp.Journal] whose calls are made one after the
// other. A lease lasts until it is ended. Sent makes a process the owner if the payment is as its
// Begin saw it and no other process has the lease. After that neither Sent nor a rejection of an
// earlier owner succeeds while the payment is open. A rejection by a process that has begun the
// payment keeps all others that have begun it before from sending it, also if another was rejected
// in between. A payment that was accepted stays accepted, and Pending does not return it.
type payment struct {
	epoch   int // how often a process has taken the payment, 0 if the journal does not know it
	attempt int
	outcome connectpsp.Outcome
	owner   int
	leased  bool
	known   [mostProcesses][attempts]knowledge
}

// knowledge is what a process knows of an attempt since its last Begin.
type knowledge struct {
	begun bool
	open  bool // Begin returned an open intent
	taken bool // Sent has made the process the owner
	epoch int
}

// step returns whether an operation may have its result, and the payment after that.
func (p payment) step(o operation) (bool, payment) {
	own := &p.known[o.Process][o.Attempt]
	current := own.begun && own.epoch == p.epoch // no process has taken the payment since
	gone := p.epoch == 0 || p.outcome == connectpsp.OutcomeRejected
	open := !gone && p.outcome == ""
	same := !gone && p.attempt == o.Attempt
	another := p.leased && p.owner != o.Process // process has the lease
	row := describe(p.attempt, p.outcome, another)
	seen := row
	if gone {
		seen = "nil"
	}
	switch o.Method {
	case endLease:
		p.leased = false
	case callFind:
		return o.Result == seen, p
	case callPending:
		return o.Result == seen && open || o.Result == "nil" && !open, p
	case callBegin:
		*own = knowledge{begun: true, open: open, epoch: p.epoch}
		waited := o.Result == row && p.outcome == connectpsp.OutcomeRejected
		return waited || o.Result == seen && !(open && another), p
	case callSent:
		switch {
		case current && own.taken && open:
			p.leased = true
		case current && !own.taken && own.open == open && (gone || open && !another):
			p.take(o, "")
			own.taken, own.epoch = true, p.epoch
		case own.begun && same && !open:
			return o.mayHaveSucceeded() || !current, p // the gateway repeats its response
		default:
			return o.mayHaveFailed(), p
		}
	case callAccept:
		switch {
		case open && same:
			p.outcome, p.leased = connectpsp.OutcomeAccepted, p.leased || p.owner == o.Process
		case gone && own.begun: // it was sent before the journal knew of it, or another that took it was rejected
			p.take(o, connectpsp.OutcomeAccepted)
		}
	case callReject:
		mine := current && own.taken
		switch {
		case open && (mine || !own.begun && same && !another):
			p.outcome, p.leased = connectpsp.OutcomeRejected, p.leased || mine
		case !gone && (own.begun || same):
			return o.mayHaveFailed(), p
		case gone && own.begun: // none that has begun may send it any more
			p.take(o, connectpsp.OutcomeRejected)
		}
		*own = knowledge{}
	}
	return o.mayHaveSucceeded(), p
}

// take makes a process the owner of the payment.
func (p *payment) take(o operation, outcome connectpsp.Outcome) {
	p.epoch, p.attempt, p.outcome, p.owner, p.leased = p.epoch+1, o.Attempt, outcome, o.Process, true
}

var journalModel = porcupine.Model{
	Init:              func() any { return payment{} },
	Step:              func(state, input, _ any) (bool, any) { return state.(payment).step(input.(operation)) },
	DescribeOperation: func(input, _ any) string { return input.(operation).String() },
}

// check looks for an order of the operations of one payment that the model allows.
func check(operations []operation) (ok bool, found porcupine.LinearizationInfo) {
	var history []porcupine.Operation
	numbers := map[int]int{}
	for _, o := range operations {
		if _, numbered := numbers[o.Process]; !numbered {
			numbers[o.Process] = len(numbers)
		}
		o.Process = numbers[o.Process]
		history = append(history, porcupine.Operation{ClientId: o.Process, Input: o, Call: o.Called, Return: o.Returned})
	}
	verdict, found := porcupine.CheckOperationsVerbose(journalModel, history, time.Minute)
	if verdict == porcupine.Unknown {
		panic("no order was found within a minute, and it is not certain that there is none")
	}
	return verdict == porcupine.Ok, found
}

// cut returns what was known of a history at a time, without reads that had not returned.
func cut(history []operation, until int64) (known []operation) {
	for _, o := range history {
		if o.Returned > until {
			o.Result, o.Returned = "", math.MaxInt64
		}
		if o.Called <= until && !(o.Result == "" && o.reads()) {
			known = append(known, o)
		}
	}
	return known
}

// violation describes the first result in a history that no order of the operations explains. It
// is empty if the history is linearizable. With the flag -artifacts the test keeps a drawing.
func violation(t *testing.T, history []operation) (story string) {
	payments := map[string][]operation{}
	for _, o := range history {
		payments[o.Payment] = append(payments[o.Payment], o)
	}
	until := int64(math.MaxInt64)
	for _, operations := range payments {
		if ok, _ := check(cut(operations, until)); ok {
			continue
		}
		slices.SortFunc(operations, func(a, b operation) int { return cmp.Compare(a.Returned, b.Returned) })
		first := sort.Search(len(operations)-1, func(n int) bool {
			ok, _ := check(cut(operations, operations[n].Returned))
			return !ok
		})
		until = operations[first].Returned
		operations = shortest(cut(operations, until))
		story = fmt.Sprintf("not linearizable after %d operations:\n", len(cut(history, until)))
		for _, o := range operations {
			story += fmt.Sprintf("%8.3f ms  %v\n", float64(o.Called-operations[0].Called)/1e6, o)
		}
		_, found := check(operations)
		require.NoError(t, porcupine.VisualizePath(journalModel, found, filepath.Join(t.ArtifactDir(), "history.html")))
	}
	return story
}

// shortest leaves out operations that change nothing, as long as no order explains the rest.
func shortest(operations []operation) []operation {
	slices.SortFunc(operations, func(a, b operation) int { return cmp.Compare(a.Called, b.Called) })
	for n := len(operations) - 1; n >= 0; n-- {
		o := operations[n]
		needed := o.Method == callBegin && slices.ContainsFunc(operations[n+1:], func(later operation) bool {
			return later.Process == o.Process && later.Attempt == o.Attempt && !later.reads()
		})
		rest := slices.Delete(slices.Clone(operations), n, n+1)
		if o.reads() && !needed || strings.HasPrefix(o.Result, "error") {
			if ok, _ := check(rest); !ok {
				operations = rest
			}
		}
	}
	return operations
}
