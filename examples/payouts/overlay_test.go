package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// change is a change of the source that a program is built from. The tree stays as it is.
type change struct{ pkg, file, text, replacement string } // each run of spaces stands for any

const module = "github.com/connectpsp/connectpsp-go/"

// aTenth makes a tenth of the times that -faster leaves alone.
var aTenth = []change{
	{module + "sqlstore", "journal.go", "paymentLease = 2 * time.Minute", "paymentLease = 12 * time.Second"},
	{module + "webhook", "worker.go", "leaseTime = 2 * time.Minute", "leaseTime = 12 * time.Second"},
	{module + "webhook", "worker.go", "workTimeout = 100 * time.Second", "workTimeout = 10 * time.Second"},
	{module + "examples/payouts", "payer.go", "later = 30 * time.Second", "later = 3 * time.Second"},
	{module + "examples/payouts", "payer.go", "whenDoubted = 125 * time.Second", "whenDoubted = 12500 * time.Millisecond"},
	{module + "examples/payouts", "queue.go", "reconcileEvery = 5 * time.Minute", "reconcileEvery = 30 * time.Second"},
}

// withoutLeases takes out the conditions by which a process writes only what it has the lease on,
// and the fencing token, which says the same in the books. What remains is that a payment that was
// accepted or is open is not begun a second time.
var withoutLeases = []change{
	{module + "sqlstore", "payment.go", "owner <> $1 AND leased_until > NOW", "false AND owner <> $1"},
	{module + "sqlstore", "payment.go", "WHERE connectpsp_payment.epoch = $17 AND connectpsp_payment.outcome = 'REJECTED'`",
		"WHERE CAST($17 AS bigint) IS NOT NULL AND connectpsp_payment.outcome = 'REJECTED'`"},
	{module + "sqlstore", "payment.go", "AND epoch = $2 AND ` + isOpen + ` AND (owner = $3 OR leased_until <= NOW)`",
		"AND CAST($2 AS bigint) IS NOT NULL AND ` + isOpen"},
	{module + "sqlstore", "payment.go", "SET leased_until = NOW + $3 WHERE payment = $1 AND epoch = $2 AND ` + isOpen",
		"SET leased_until = NOW + $3 WHERE payment = $1 AND CAST($2 AS bigint) IS NOT NULL AND ` + isOpen"},
	{module + "sqlstore", "payment.go", "leased_until = NOW + $3 WHERE payment = $1 AND epoch = $2 AND ` + isOpen",
		"leased_until = NOW + $3 WHERE payment = $1 AND CAST($2 AS bigint) IS NOT NULL AND ` + isOpen"},
	{module + "sqlstore", "payment.go", "AND (owner = $2 OR leased_until <= NOW)`", "AND $2 <> ''`"},
	{module + "examples/payouts", "claim.go", "AND fencing_token = $2 AND state = 'PENDING'`, c.reference", "AND CAST($2 AS bigint) IS NOT NULL`, c.reference"},
}

// apply returns the changed files, by their paths.
func apply(t *testing.T, changes []change) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, c := range changes {
		directory, err := exec.Command("go", "list", "-f", "{{.Dir}}", c.pkg).Output()
		require.NoError(t, err)
		path := filepath.Join(strings.TrimSpace(string(directory)), c.file)
		if files[path] == "" {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			files[path] = string(text)
		}
		words := strings.Fields(c.text)
		for n, word := range words {
			words[n] = regexp.QuoteMeta(word)
		}
		pattern := regexp.MustCompile(strings.Join(words, `\s+`))
		assert.Len(t, pattern.FindAllString(files[path], -1), 1, "%s: %s", c.file, c.text)
		files[path] = pattern.ReplaceAllLiteralString(files[path], c.replacement)
	}
	return files
}

func TestEveryChangeFitsTheSource(t *testing.T) {
	apply(t, aTenth)
	apply(t, withoutLeases)
}

// build builds the program with changes, and returns its path.
func build(t *testing.T, changes []change) (program string) {
	t.Helper()
	directory := t.TempDir()
	replace := map[string]string{}
	for path, text := range apply(t, changes) {
		replace[path] = filepath.Join(directory, strings.ReplaceAll(path, "/", "_"))
		require.NoError(t, os.WriteFile(replace[path], []byte(text), 0o600))
	}
	contents, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	list := filepath.Join(directory, "overlay.json")
	require.NoError(t, os.WriteFile(list, contents, 0o600))
	program = filepath.Join(directory, "payouts")
	output, err := exec.Command("go", "build", "-overlay", list, "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", output)
	return program
}
