// Package mutations tests package simulation. It breaks package connectpsp in the ways in which
// clients are often broken, one at a time, and the simulation has to find each.
package mutations

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var enabled = flag.Bool("mutations", false, "build and simulate a broken client for every mutation, which takes a minute or two")

// mutation breaks a file of package connectpsp, or the model of a journal.
type mutation struct {
	name, file string
	replace    []string // pairs: a text that the file has once, and its replacement
	rare       bool     // it takes more than 10,000 schedules to be found, and less than 100,000
}

var mutations = []mutation{
	{name: "doubt is not sticky", file: "callstate.go", replace: []string{"	if leavesDoubt(a, v) {", "	p.doubt = false\n	if leavesDoubt(a, v) {"}},
	{name: "409 is a rejection", file: "apierror.go", replace: []string{
		"	case e.StatusCode == http.StatusConflict:\n		return true", "	case e.StatusCode == http.StatusConflict:\n		return false",
	}},
	{name: "a response in HTML is a rejection", file: "classify.go", replace: []string{"	return status/100 == 4\n", "	return false\n"}},
	{name: "a truncated problem is a rejection", file: "classify.go", replace: []string{`a.err == nil && problem.Code != "" && described`, "(described || len(a.body) > 0 && a.body[0] == '{')"}},
	{name: "every attempt has its own key", file: "attempt.go", replace: []string{"idempotency.Editor(key)", "idempotency.Editor(idempotency.NewKey())"}},
	{name: "every call has its own key", file: "call.go", replace: []string{
		"return idempotency.DeriveKey(c.clientID, op.ID, payment.reference(), settings.attempt)", "return idempotency.NewKey()",
	}},
	{name: "every refund has its own key", file: "call.go", replace: []string{
		"	case !settings.keySet:\n", "	case !settings.keySet && op.ID == OperationRefundCashIn:\n		return idempotency.NewKey()\n	case !settings.keySet:\n",
	}},
	{name: "an open payment is known by its key alone", file: "journal_memory.go", replace: []string{
		"found := all.byPayment[payment]; found != nil", "found := all.byPayment[payment]; false",
	}},
	{name: "an open payment is sent under another key", file: "intent.go", replace: []string{
		"	case earlier.IdempotencyKey != own.IdempotencyKey:\n		return errOtherKey\n", "",
	}},
	{name: "a refund under another id is another refund", file: "journaled.go", replace: []string{
		"if refund && call.doubted == nil {", "if false {",
	}},
	{name: "a timeout means that nothing was sent", file: "classify.go", replace: []string{"	if a.sent {\n		return v", "	if false {\n		return v"}},
	{name: "an unreadable response means that nothing was sent", file: "classify.go", replace: []string{
		"return verdict{outcome: inDoubt, again: true, err: err}", "return verdict{outcome: notSent, err: err}",
	}},
	{name: "5xx is a rejection", file: "classify.go", replace: []string{
		"	case a.status/100 == 5:\n		v.outcome, v.again = inDoubt, true", "	case a.status/100 == 5:\n		v.again = true",
	}},
	{name: "a redirect is a rejection", file: "classify.go", replace: []string{"		v.outcome = inDoubt\n	}", "	}"}},
	{name: "a request that still waits for a connection is forgotten", file: "attempt.go", replace: []string{
		"|| !t.body.seal())", "|| t.body.state.Load() == bodyRead)",
	}},
	{name: "a request that the transport sends twice counts once", file: "attempt.go", replace: []string{"tracker.written.Load() > 1", "tracker.written.Load() > 2"}},
	{name: "a response about another payment is passed on", file: "operation.go", replace: []string{
		`	case externalReference != "" && externalReference != asked.ExternalReference:`, "	case false:",
		"	case amount != asked.Amount && (", "	case false && (",
	}},
	{name: "a response about another payment offers its id", file: "classify.go", replace: []string{
		"return verdict{outcome: inDoubt, err: err}", "return verdict{outcome: inDoubt, err: err, transactionID: transactionID}",
	}},
	{name: "a process forgets its open payments", file: "journal_memory.go", replace: []string{"	m.open.add(&remembered{intent, payment})\n", ""}},
	{name: "a process forgets its accepted payments", file: "journal_memory.go", replace: []string{"		m.young.add(intent)\n", ""}},
	{name: "calls for one payment overlap", file: "lock.go", replace: []string{
		"locks.wait(ctx, name, intent,", "locks.wait(ctx, lockName{payment: idempotency.NewKey()}, intent,",
	}},
	{name: "calls under two keys for one payment overlap", file: "lock.go", replace: []string{
		"locks.wait(ctx, name, intent,", "locks.wait(ctx, lockName{journal: c.scope, payment: intent.IdempotencyKey}, intent,",
	}},
	{name: "two clients on one journal do not know of each other", file: "lock.go", replace: []string{
		"if reflect.ValueOf(journal).Comparable() {", "if reflect.ValueOf(journal).Comparable() && false {",
	}},
	{name: "a waiting call does not share the rejection", file: "lock.go", replace: []string{"		return !p.doubt\n", "		return false\n"}},
	{name: "a waiting call does not share that nothing was sent", file: "lock.go", replace: []string{
		"return err != nil && !errors.Is(err, ErrUnknownOutcome)", "return err != nil && !errors.Is(err, ErrNotSent) && !errors.Is(err, ErrUnknownOutcome)",
	}},
	{name: "an invalid request is rejected while its payment is open", file: "journaled.go", replace: []string{
		"	if earlier == nil && failure == nil {", "	if true {",
	}},
	{name: "a payment is marked as sent after the sending", file: "attempt.go", replace: []string{
		"if err := c.announce(ctx, t.state); err != nil {", "if t.handed {\n		var err error",
	}},
	{name: "a rejection that the journal has not recorded is reported", file: "journaled.go", replace: []string{
		"if failure == nil || err == nil {", "if true {",
	}},
	{name: "a journal that cannot be read counts as empty", file: "journaled.go", replace: []string{"c.find(ctx, intent); failure != nil {",
		"c.find(ctx, intent); failure != nil && false {"}},
	{name: "the first sending is forgotten", file: "callstate.go", replace: []string{
		"	if p.first.IsZero() || earlier.SentAt.Before(p.first) {\n		p.first = earlier.SentAt\n	}\n", "",
	}},
	{name: "Recover reports as never sent a payment that another call sends", file: "recover.go", replace: []string{
		"locks.take(r.client.lockOf(*intent), intent)", "locks.take(lockName{payment: idempotency.NewKey()}, intent)",
	}},
	{name: "Recover leaves out payments that have ended", file: "recover.go", replace: []string{"inMemory || c.recovered.Load() {", "true || inMemory {"}},
	{name: "Recover sends after the replay window", file: "journaled.go", replace: []string{
		"	case (call.doubted != nil || refund && earlier != nil) && c.left(p.first) <= 0:", "	case false:",
	}},
	{name: "Recover takes the payments of other processes", file: "recover.go", replace: []string{
		"intent.SentAt.IsZero() || intent.Leased {", "intent.SentAt.IsZero() {",
	}},
	{name: "Recover reports what another process is reporting", file: "recover.go", replace: []string{"		if intent.Leased {\n", "		if false {\n"}},
	{name: "a call does not share the rejection of another process", file: "journaled.go", replace: []string{
		"		return nil, p.rejectedElsewhere(earlier)\n", "		earlier = nil\n",
	}},
	{name: "a call that cannot begin forgets other processes", file: "journaled.go", replace: []string{
		"OutcomeRejected, \"\"); failure != nil {\n			return nil, p.open(", "OutcomeRejected, \"\"); false {\n			return nil, p.open(",
	}, rare: true},
	{name: "a payment is sent without a lease", file: "journaled.go", replace: []string{
		"		return notRecorded(err)\n	}\n	return nil\n", "		return nil\n	}\n	return nil\n",
	}},
	{name: "a later attempt is sent without a lease", file: "journaled.go", replace: []string{
		"	if p.ended || !p.call.operation.Keyed {", "	if p.ended || !p.call.operation.Keyed || p.attempts > 0 {",
	}},

	// The journal that the processes of a fleet share.
	{name: "Begin does not see the payment of another process", file: fleet, replace: []string{
		`if found.IdempotencyKey != "" {`, `if found.IdempotencyKey != "" && !j.isOthers(found) {`,
	}},
	{name: "Sent does not ask for the epoch", file: fleet, replace: []string{
		"	case a.open && r.isOpen() && r.epoch == a.epoch && !j.isOthers(r):", "	case r != nil && r.isOpen():",
	}},
	{name: "Finish does not ask for the lease", file: fleet, replace: []string{"(!rejected || j.isOwn(r, a) ||", "(!rejected || j.isOwn(r, a) || true ||"}},
	{name: "Finish keeps no other process from sending", file: fleet, replace: []string{
		"	case a != nil && !a.open && j.isFree(a):", "	case a != nil && !a.open && j.isFree(a) && a.epoch < 0:",
	}},
	{name: "each process has its own clock", file: fleet, replace: []string{
		"{ return time.Now() }", "{ return time.Now().Add(time.Duration(j.process.number) * leaseTime) }",
	}},
}

// fleet is the model of a journal that processes share.
const fleet = "../internal/simulation/shared_test.go"

const root = "../.."

func TestTheSimulationFindsEveryFaultThatIsPutIntoTheClient(t *testing.T) {
	if !*enabled {
		t.Skip("takes a minute or two; make simulate runs it")
	}
	for _, m := range mutations {
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			schedules := "10000"
			if m.rare {
				schedules = "100000"
			}
			output, err := exec.Command("go", "test", "-overlay", overlay(t, m), root+"/internal/simulation",
				"-run", "^TestSimulatedPaymentsKeepTheirPromises$", "-simulate.n", schedules, "-timeout", "5m").CombinedOutput()
			require.Error(t, err, "%s schedules keep their promises", schedules)
			found := regexp.MustCompile(`VIOLATION in schedule (\d+) of seed \d+: (.*)`).FindStringSubmatch(string(output))
			require.NotNil(t, found, "%s", output)
			t.Logf("found in schedule %s: %.150s", found[1], found[2])
		})
	}
}

func TestEveryMutationFitsTheCode(t *testing.T) {
	for _, m := range mutations {
		text, err := os.ReadFile(filepath.Join(root, "connectpsp", m.file))
		require.NoError(t, err)
		for i := 0; i < len(m.replace); i += 2 {
			assert.Equal(t, 1, strings.Count(string(text), m.replace[i]), "%s: %s", m.name, m.replace[i])
		}
	}
}

// overlay returns a file for the flag -overlay of the go command, which then builds the mutation
// without a change to the tree.
func overlay(t *testing.T, m mutation) string {
	original, err := filepath.Abs(filepath.Join(root, "connectpsp", m.file))
	require.NoError(t, err)
	text, err := os.ReadFile(original)
	require.NoError(t, err)
	mutated := strings.NewReplacer(m.replace...).Replace(string(text))
	const imported = `"github.com/connectpsp/connectpsp-go/idempotency"`
	if strings.Contains(mutated, "idempotency.") && !strings.Contains(mutated, imported) {
		mutated = strings.Replace(mutated, "import (", "import (\n	"+imported, 1)
	}
	directory := t.TempDir()
	replacement := filepath.Join(directory, filepath.Base(m.file))
	require.NoError(t, os.WriteFile(replacement, []byte(mutated), 0o600))
	contents, err := json.Marshal(map[string]any{"Replace": map[string]string{original: replacement}})
	require.NoError(t, err)
	list := filepath.Join(directory, "overlay.json")
	require.NoError(t, os.WriteFile(list, contents, 0o600))
	return list
}
