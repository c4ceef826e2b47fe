package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The personal data of the tests, which no output may have.
const (
	cpf      = "52998224725"
	fullName = "Joana Pereira"
)

// shell is a person or a script at a sandbox.
type shell struct {
	t        *testing.T
	box      *sandbox.Sandbox
	vars     map[string]string
	columns  int
	requests atomic.Int64 // that the gateway got
}

// newShell returns a shell with the variables of a new sandbox and a journal of its own.
func newShell(t *testing.T, options ...sandbox.Option) *shell {
	t.Helper()
	s := &shell{t: t}
	count := sandbox.WithMiddleware(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.requests.Add(1)
			next.ServeHTTP(w, r)
		})
	})
	box, err := sandbox.Start(append([]sandbox.Option{count}, options...)...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, box.Close()) })
	config := box.Config()
	s.box = box
	s.vars = map[string]string{
		"CONNECTPSP_CLIENT_ID":         config.ClientID,
		"CONNECTPSP_CLIENT_SECRET":     config.ClientSecret.Reveal(),
		"CONNECTPSP_APPLICATION_TOKEN": config.ApplicationToken.Reveal(),
		"CONNECTPSP_CRYPTO_TOKEN":      config.CryptoToken.Reveal(),
		"CONNECTPSP_BASE_URL":          config.BaseURL,
		"CONNECTPSP_JOURNAL":           filepath.Join(t.TempDir(), "payments.journal"),
	}
	return s
}

// output has the output and the exit status of a command.
type output struct {
	code           int
	stdout, stderr string
}

// environment returns the environment of a command without a terminal.
func (s *shell) environment(args ...string) environment {
	return environment{
		args:    args,
		stdin:   strings.NewReader(""),
		lookup:  func(name string) string { return s.vars[name] },
		columns: s.columns,
		retry:   connectpsp.RetryPolicy{BaseDelay: time.Millisecond, MaxDelay: time.Millisecond},
	}
}

// run runs a command, and checks that its output has no secret and no personal data.
func (s *shell) run(args ...string) output {
	s.t.Helper()
	return s.execute(s.environment(args...))
}

// typed runs a command for a person who types an answer.
func (s *shell) typed(answer string, args ...string) output {
	s.t.Helper()
	e := s.environment(args...)
	e.stdin, e.interactive = strings.NewReader(answer), true
	return s.execute(e)
}

func (s *shell) execute(e environment) output {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	e.stdout, e.stderr = &stdout, &stderr
	o := output{run(ctx, e), stdout.String(), stderr.String()}
	for name, value := range s.vars {
		if value != "" && (strings.Contains(name, "SECRET") || strings.Contains(name, "TOKEN") || strings.Contains(name, "DATABASE")) {
			assert.NotContains(s.t, o.stdout+o.stderr, value, "%s is in the output of %q", name, e.args)
		}
	}
	text := o.stdout + o.stderr
	if e.interactive && slices.Contains(e.args, "cash-out") { // the question has what the person has typed
		_, after, _ := strings.Cut(o.stderr, "[y/N]")
		text = o.stdout + after
	}
	for _, personal := range []string{cpf, fullName, "Pereira", "joana@example.com", "5511987654321"} {
		assert.NotContains(s.t, text, personal, "personal data is in the output of %q", e.args)
	}
	return o
}

// cashOut returns the command that pays R$ 30.00 under a reference.
func cashOut(reference string, more ...string) []string {
	return slices.Concat([]string{"cash-out", "create", "--reference", reference, "--amount", "30.00", "--name", fullName, "--document", cpf,
		"--key-type", "CPF", "--key", cpf}, more)
}

// cashIn returns the command that charges R$ 10.50 under a reference.
func cashIn(reference string, more ...string) []string {
	return slices.Concat([]string{"cash-in", "create", "--reference", reference, "--amount", "10.50", "--name", fullName, "--document", cpf}, more)
}

// paid returns how much has left the transactional account.
func (s *shell) paid() pix.Amount {
	s.t.Helper()
	client, err := connectpsp.New(s.box.Config())
	require.NoError(s.t, err)
	balance, err := client.GetBalance(s.t.Context())
	require.NoError(s.t, err)
	return pix.Centavos(500_000_00 - balance.Consolidated.TransactionalBalance.Centavos())
}

// decode reads the JSON object of a command.
func decode[T any](t *testing.T, o output) (object T) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(o.stdout))
	require.NoError(t, decoder.Decode(&object), "%s%s", o.stdout, o.stderr)
	assert.False(t, decoder.More(), "there is more than one JSON object in %s", o.stdout)
	return object
}

// changing are the parts of an output that differ from run to run.
var changing = []struct {
	form *regexp.Regexp
	name string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`000201[0-9A-Za-z./*:\- ]+6304[0-9A-F]{4}`), "BRCODE"},
	{regexp.MustCompile(`"qrCodeImageBase64":"[^"]+"`), `"qrCodeImageBase64":"PNG"`},
	{regexp.MustCompile(`\b[ED][0-9]{8}[0-9]{12}[0-9A-Za-z]{11}\b`), "END-TO-END-ID"},
	{regexp.MustCompile(`\b[0-9a-z]{30,40}\b`), "TXID"},
	{regexp.MustCompile(`"internalCode":"[0-9A-Z]+"`), `"internalCode":"CODE"`},
	{regexp.MustCompile(`internal code( +)[0-9A-Z]+`), "internal code${1}CODE"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| ?[-+]\d\d:\d\d)`), "TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`), "TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d`), "DAY"},
	{regexp.MustCompile(`\d\d:\d\d:\d\d [-+]\d\d:\d\d`), "TIME"},
	{regexp.MustCompile(`\d+ ms|\b(slowest +)\d+m?s`), "${1}DURATION"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:PORT"},
	{regexp.MustCompile(`"bodySha256":"[0-9a-f]+"`), `"bodySha256":"SHA-256"`},
	{regexp.MustCompile(`"clientId":"[0-9]+"`), `"clientId":"ID"`},
}

// golden compares the outputs of the commands of a test with a file in testdata.
func (s *shell) golden(name string, steps ...[]string) {
	s.t.Helper()
	var text strings.Builder
	for _, args := range steps {
		s.transcribe(&text, args, s.run(args...))
	}
	s.compare(name, text.String())
}

func (s *shell) transcribe(text *strings.Builder, args []string, o output) {
	text.WriteString("$ connectpsp")
	for _, arg := range args {
		text.WriteString(" " + quote(arg))
	}
	text.WriteString("\n" + o.stdout + o.stderr + "exit status " + string(rune('0'+o.code)) + "\n\n")
}

func (s *shell) compare(name, text string) {
	s.t.Helper()
	// The command line has what a person types.
	journal := cmp.Or(s.vars["CONNECTPSP_JOURNAL"], "no journal")
	inJSON := strings.ReplaceAll(journal, `\`, `\\`)
	text = strings.NewReplacer(cpf, "CPF", fullName, "NAME", journal, "JOURNAL", inJSON, "JOURNAL").Replace(text)
	for _, part := range changing {
		text = part.form.ReplaceAllString(text, part.name)
	}
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(s.t, os.MkdirAll("testdata", 0o755))
		require.NoError(s.t, os.WriteFile(path, []byte(text), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(s.t, err, "run go test -update")
	assert.Equal(s.t, strings.ReplaceAll(string(want), "\r\n", "\n"), text)
}
