// Package mutations shows that the simulation of package connectpsp can see: it breaks the client in ways in which clients are
// often broken, one at a time, and the simulation has to find each.
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

var enabled = flag.Bool("mutations", false, "build and simulate a broken client for every mutation, which takes a few minutes")

// mutation is a fault that is put into a file of package connectpsp by replacing texts: one, and what stands in its place.
type mutation struct {
	name, file string
	replace    []string
	rare       bool // it takes more than 10,000 schedules to be seen, and less than 100,000
}

var mutations = []mutation{
	{name: "doubt is not sticky", file: "retry.go", replace: []string{"	if v.outcome == doubtful ||", "	p.doubt = false\n	if v.outcome == doubtful ||"}},
	{name: "409 is a failure", file: "classify.go", replace: []string{
		"e.conflict = e.money &&", "e.conflict = false &&",
		`	case a.status == http.StatusConflict && refusal.speaksOf("IDEMPOT"):`, "	case false:",
	}},
	{name: "every attempt has a key of its own", file: "attempt.go", replace: []string{"idempotency.Editor(call.key)", "idempotency.Editor(idempotency.NewKey())"}},
	{name: "every call has a key of its own", file: "key.go", replace: []string{
		"return idempotency.DeriveKey(c.clientID, op.id, externalReference, settings.attempt)", "return idempotency.NewKey()",
	}},
	{name: "a time-out is a failure", file: "classify.go", replace: []string{"	if a.sent {\n		return v", "	if false {\n		return v"}},
	{name: "an answer that cannot be read is a failure", file: "classify.go", replace: []string{
		"return verdict{outcome: doubtful, again: true, err: err}", "return verdict{outcome: unsent, err: err}",
	}},
	{name: "5xx is a failure", file: "classify.go", replace: []string{
		"	case a.status/100 == 5:\n		v.outcome, v.again = doubtful, true", "	case a.status/100 == 5:\n		v.again = true",
	}},
	{name: "a redirect is a failure", file: "classify.go", replace: []string{"		v.outcome = doubtful\n	}", "	}"}},
	{name: "a request that still waits for a connection is forgotten", file: "attempt.go", replace: []string{
		"w.body.isEmpty() || !w.body.seal()", "w.body.isEmpty() || w.body.state.Load() == begun",
	}},
	{name: "what the transport sends twice counts once", file: "attempt.go", replace: []string{"witness.written.Load() > 1", "witness.written.Load() > 2"}},
	{name: "an answer about another payment is passed on", file: "call.go", replace: []string{
		`	case externalReference != "" && externalReference != call.externalReference:`, "	case false:",
		"	case amount != call.amount && (", "	case false && (",
	}},
	{name: "a process forgets its open payments", file: "memory.go", replace: []string{"	m.open.add(&intent)\n", ""}},
	{name: "a process forgets its accepted payments", file: "memory.go", replace: []string{"		m.accepted.add(intent)\n", ""}},
	{name: "calls for one payment overlap", file: "payment.go", replace: []string{"c.turns.take(key)", "c.turns.take(key + idempotency.NewKey())"}},
	{name: "those who wait do not hear the rejection", file: "payment.go", replace: []string{"if others.refusal != nil && !p.doubt {", "if false {"}},
	{name: "a faulty request settles an open payment", file: "payment.go", replace: []string{"if earlier == nil && failure == nil {", "if true {"}},
	{name: "the journal is told after the sending", file: "attempt.go", replace: []string{
		"if err := c.announce(ctx, w.progress); err != nil {", "if w.handed {\n		var err error",
	}},
	{name: "a rejection that is not recorded is reported", file: "payment.go", replace: []string{
		"if failure == nil || err == nil {", "if true {",
	}, rare: true},
	{name: "a journal that cannot be asked is taken as empty", file: "payment.go", replace: []string{"c.find(ctx, call.key); failure != nil {",
		"c.find(ctx, call.key); failure != nil && false {"}},
	{name: "the first sending is forgotten", file: "payment.go", replace: []string{
		"	if p.first.IsZero() || earlier.SentAt.Before(p.first) {\n		p.first = earlier.SentAt\n	}\n", "",
	}},
	{name: "Recover calls never sent what another call sends", file: "recover.go", replace: []string{
		"own, _ := c.turns.take(intent.IdempotencyKey)", "own, _ := c.turns.take(idempotency.NewKey())",
	}},
}

const root = "../.."

func TestTheSimulationFindsEveryFaultThatIsPutIntoTheClient(t *testing.T) {
	if !*enabled {
		t.Skip("takes a few minutes; make simulate runs it")
	}
	for _, m := range mutations {
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			schedules := "10000"
			if m.rare {
				schedules = "100000"
			}
			output, err := exec.Command("go", "test", "-overlay", overlay(t, m), root+"/connectpsp",
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

// overlay puts a mutation in place without a change to the tree.
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
	replacement := filepath.Join(directory, m.file)
	require.NoError(t, os.WriteFile(replacement, []byte(mutated), 0o600))
	contents, err := json.Marshal(map[string]any{"Replace": map[string]string{original: replacement}})
	require.NoError(t, err)
	list := filepath.Join(directory, "overlay.json")
	require.NoError(t, os.WriteFile(list, contents, 0o600))
	return list
}
