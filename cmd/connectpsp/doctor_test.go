package main

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/sandbox"
)

// healthy returns a shell in which doctor finds no fault, and the arguments of doctor.
func healthy(t *testing.T) (*shell, []string) {
	s := newShell(t)
	s.newDatabase()
	r := newReceiver(t, s.vars["CONNECTPSP_CRYPTO_TOKEN"], 0)
	return s, []string{"doctor", "--webhook-url", r.URL}
}

func TestADoctorFindsNoFaultWhereThereIsNone(t *testing.T) {
	s, args := healthy(t)
	s.golden("doctor", args)
	s.golden("doctor-json", append(args, "--json"))
	assert.Zero(t, s.paid())
}

// longLabel is part of a name that is not looked up, because it is too long.
var longLabel = strings.Repeat("a", 64)

func TestEachFaultMakesItsOwnLineFailAndNoOther(t *testing.T) {
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(untrusted.Close)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	naive := newReceiver(t, "", http.StatusOK)
	moved := newReceiver(t, "", http.StatusMovedPermanently)

	set := func(name, value string) func(*shell, []string) []string {
		return func(s *shell, args []string) []string {
			s.vars[name] = value
			return args
		}
	}
	webhookURL := func(target string) func(*shell, []string) []string {
		return func(_ *shell, args []string) []string { return append(args, "--webhook-url", target) }
	}
	for name, test := range map[string]struct {
		fault func(*shell, []string) []string
		fails string
		says  string
	}{
		"a variable is missing":       {set("CONNECTPSP_CLIENT_SECRET", ""), "configuration", "not set: CONNECTPSP_CLIENT_SECRET"},
		"production without the flag": {set("CONNECTPSP_ENVIRONMENT", "production"), "configuration", "add --production"},
		"the host has no address": {func(s *shell, args []string) []string {
			s.vars["CONNECTPSP_ENVIRONMENT"] = "staging"
			return set("CONNECTPSP_BASE_URL", "https://"+longLabel+".invalid")(s, args)
		}, "DNS", longLabel + ".invalid has no address"},
		"the certificate is not known":  {set("CONNECTPSP_BASE_URL", untrusted.URL), "connection", "TLS: "},
		"nothing listens":               {set("CONNECTPSP_BASE_URL", "http://"+closed.Addr().String()), "connection", "check the firewall"},
		"the secret is wrong":           {set("CONNECTPSP_CLIENT_SECRET", "wrong-secret"), "credentials", "CONNECTPSP_CLIENT_SECRET"},
		"the ApplicationToken is wrong": {set("CONNECTPSP_APPLICATION_TOKEN", "wrong-token"), "ApplicationToken", "INVALID_APPLICATION_TOKEN"},
		"the CryptoToken is not set":    {set("CONNECTPSP_CRYPTO_TOKEN", ""), "CryptoToken", "CONNECTPSP_CRYPTO_TOKEN is not set"},
		"the receiver does not verify":  {webhookURL(naive.URL), "webhook URL", "accepts a request without a signature"},
		"the receiver has moved":        {webhookURL(moved.URL), "webhook URL", "responds 301"},
		"the receiver is down":          {webhookURL("http://" + closed.Addr().String()), "webhook URL", "no response: dial tcp"},
		"the webhook URL is plain http": {webhookURL("http://wallet.example/webhooks"), "webhook URL", "https addresses only"},
		"the webhook URL is none":       {webhookURL("wallet"), "webhook URL", "--webhook-url must be"},
		"the database is not there":     {set("DATABASE_URL", "sqlite:/does/not/exist.db"), "database", "DATABASE_URL"},
		"the database is of no kind":    {set("DATABASE_URL", "oracle:x"), "database", "DATABASE_URL must begin with"},
	} {
		t.Run(name, func(t *testing.T) {
			s, args := healthy(t)
			o := s.run(append(test.fault(s, args), "--json")...)
			assert.Equal(t, exitFailed, o.code, o.stdout+o.stderr)
			assert.Equal(t, []string{test.fails}, failures(t, o))
			assert.Contains(t, o.stdout, test.says)
		})
	}
}

// failures returns the names of the checks that failed.
func failures(t *testing.T, o output) (names []string) {
	t.Helper()
	for _, one := range decode[doctorResult](t, o).Checks {
		if one.State == checkFailed {
			names = append(names, one.Name)
		}
		assert.True(t, one.State == checkFailed || one.State == checkOK || one.State == checkSkipped)
		assert.NotEmpty(t, one.Detail)
	}
	return names
}

func TestAClockThatIsOffIsReported(t *testing.T) {
	for drift, fails := range map[time.Duration][]string{time.Hour: {"clock"}, -time.Hour: {"clock"}, 20 * time.Second: nil} {
		s := newShell(t, sandbox.WithMiddleware(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Date", time.Now().Add(drift).UTC().Format(http.TimeFormat))
				next.ServeHTTP(w, r)
			})
		}))
		assert.Equal(t, fails, failures(t, s.run("doctor", "--json")), "%v", drift)
	}
}

func TestADatabaseWithoutTablesIsNoFault(t *testing.T) {
	s, args := healthy(t)
	o := s.run(append(args, "--namespace", "later", "--json")...)
	assert.Equal(t, exitDone, o.code, o.stdout)
	assert.Contains(t, o.stdout, "has no tables of this version and namespace yet")
}

// The servers are those of make integration.
func TestADriverThatAPoolerBreaksIsReported(t *testing.T) {
	pooled, direct := os.Getenv("CONNECTPSP_TEST_PGBOUNCER_TRANSACTION"), os.Getenv("CONNECTPSP_TEST_POSTGRES")
	if pooled == "" || direct == "" {
		t.Skip("there is no PgBouncer: make integration starts one")
	}
	s := newShell(t)
	s.newPostgres(direct)
	for address, fails := range map[string][]string{
		direct:                                   nil,
		pooled + " default_query_exec_mode=exec": nil,
		pooled + " default_query_exec_mode=cache_statement": {"pooler"},
	} {
		s.vars["DATABASE_URL"] = address
		o := s.run("doctor", "--namespace", "doctor", "--json")
		assert.Equal(t, fails, failures(t, o), "%s", o.stdout)
		checks := decode[doctorResult](t, o).Checks
		at := slices.IndexFunc(checks, func(c check) bool { return c.Name == "pooler" })
		assert.NotEqual(t, checkSkipped, checks[at].State)
	}
}
