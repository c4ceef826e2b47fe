package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a command needs, beyond its arguments.
const (
	needsGateway  = 1 << iota // the credentials, and a gateway that responds
	needsJournal              // a journal
	needsCrypto               // the CryptoToken, and no other credential
	needsDatabase             // DATABASE_URL
)

// rightUse has the arguments of each command as they are right, and what it needs.
var rightUse = map[string]struct {
	args  []string
	needs int
}{
	"cash-in create":   {cashIn("order-1"), needsGateway | needsJournal},
	"cash-in get":      {[]string{"cash-in", "get", "a"}, needsGateway},
	"cash-in refund":   {[]string{"cash-in", "refund", "a", "--reason", "FRAUD", "--yes"}, needsGateway | needsJournal},
	"cash-in resolve":  {[]string{"cash-in", "resolve", "--reference", "order-1"}, needsGateway | needsJournal},
	"cash-out create":  {cashOut("withdrawal-1", "--yes"), needsGateway | needsJournal},
	"cash-out get":     {[]string{"cash-out", "get", "a"}, needsGateway},
	"cash-out resolve": {[]string{"cash-out", "resolve", "--reference", "withdrawal-1"}, needsGateway | needsJournal},
	"balance":          {[]string{"balance"}, needsGateway},
	"rebalance":        {[]string{"rebalance", "--target", "100.00", "--yes"}, needsGateway | needsJournal},
	"wait cash-in":     {[]string{"wait", "cash-in", "a", "--timeout", "300ms"}, needsGateway},
	"wait cash-out":    {[]string{"wait", "cash-out", "a", "--timeout", "300ms"}, needsGateway},
	"webhook listen":   {[]string{"webhook", "listen", "--address", "127.0.0.1:99999"}, needsCrypto},
	"webhook send":     {[]string{"webhook", "send", "CASHIN_PAID", "--to", "http://127.0.0.1:1"}, needsCrypto},
	"webhook verify":   {[]string{"webhook", "verify", "--body", "absent", "--headers", "absent"}, needsCrypto},
	"webhook sign":     {[]string{"webhook", "sign", "--body", "absent"}, needsCrypto},
	"brcode decode":    {[]string{"brcode", "decode"}, 0},
	"brcode encode":    {[]string{"brcode", "encode", "--name", "Loja", "--city", "Recife", "--url", "loja.example/1"}, 0},
	"key detect":       {[]string{"key", "detect", "joana@example.com"}, 0},
	"inbox list":       {[]string{"inbox", "list"}, needsDatabase},
	"inbox retry":      {[]string{"inbox", "retry", "a"}, needsDatabase},
	"inbox dismiss":    {[]string{"inbox", "dismiss", "a", "--yes"}, needsDatabase},
	"journal list":     {[]string{"journal", "list"}, needsJournal},
	"journal finish":   {[]string{"journal", "finish", "a", "--outcome", "accepted", "--yes"}, needsJournal},
	"doctor":           {[]string{"doctor"}, 0},
	"sandbox":          {[]string{"sandbox", "--port", "99999"}, 0},
	"conformance":      {[]string{"conformance", "--webhook-url", "http://127.0.0.1:1", "--credited-url", "http://127.0.0.1:1/{reference}", "--port", "99999"}, 0},
}

// commands calls visit for each command that does something, with its right arguments.
func commands(t *testing.T, visit func(command *cobra.Command, args []string, needs int)) {
	t.Helper()
	walk((&app{}).newRoot(), func(command *cobra.Command) {
		path := strings.TrimPrefix(command.CommandPath(), "connectpsp")
		path = strings.TrimSpace(path)
		if command.HasSubCommands() || path == "help" || strings.HasPrefix(path, "completion") {
			return
		}
		use, known := rightUse[path]
		if assert.True(t, known, "%s: add it to rightUse", path) {
			visit(command, slices.Clip(use.args), use.needs)
		}
	})
}

// refuses runs a command that must fail with an exit status, in one line that has a text.
func (s *shell) refuses(code int, says string, args ...string) {
	s.t.Helper()
	o := s.run(args...)
	assert.Equal(s.t, code, o.code, "%q: %s%s", args, o.stdout, o.stderr)
	assert.True(s.t, strings.HasPrefix(o.stderr, "connectpsp: "), "%q: %s", args, o.stderr)
	lines := 1
	if o.code == exitUnknown {
		lines = 2 // the second one settles it
	}
	assert.Equal(s.t, lines, strings.Count(o.stderr, "\n"), "%q: %s", args, o.stderr)
	assert.Contains(s.t, o.stderr, says, "%q", args)
	for _, dump := range []string{"goroutine ", "panic", "Usage:", "<html", "%!"} {
		assert.NotContains(s.t, o.stdout+o.stderr, dump, "%q", args)
	}
}

func TestEachWrongFlagOfEachCommandIsAnsweredInOneLine(t *testing.T) {
	s := newShell(t)
	commands(t, func(command *cobra.Command, args []string, _ int) {
		s.refuses(exitUsage, "there is no flag --nope; see "+command.CommandPath()+" --help", append(args, "--nope")...)
		s.refuses(exitUsage, "the only flag of one letter is -h", append(args, "-x")...)
		s.refuses(exitUsage, "see "+command.CommandPath()+" --help", append(args, "another", "argument")...)
		command.Flags().VisitAll(func(flag *pflag.Flag) {
			name := "--" + flag.Name
			switch flag.Value.Type() {
			case "bool":
				s.refuses(exitUsage, name+" takes a value of type bool", append(args, name+"=perhaps")...)
			case "string", "stringSlice":
				s.refuses(exitUsage, name+" needs a value", append(args, name)...)
			default:
				s.refuses(exitUsage, name+" needs a value", append(args, name)...)
				s.refuses(exitUsage, name+" takes a value of type", append(args, name, "perhaps")...)
			}
			if flag.Annotations[cobra.BashCompOneRequiredFlag] != nil {
				at := slices.Index(args, name)
				s.refuses(exitUsage, "give "+name+"; see "+command.CommandPath()+" --help", slices.Concat(args[:at], args[at+2:])...)
			}
		})
	})
	assert.Zero(t, s.requests.Load())
}

func TestEachWrongFileOfEachCommandIsAnsweredInOneLine(t *testing.T) {
	directory := t.TempDir()
	text := filepath.Join(directory, "text")
	require.NoError(t, os.WriteFile(text, []byte("not what is expected\n"), 0o600))
	absent := filepath.Join(directory, "absent")
	var unreadable []string
	if os.Getuid() > 0 { // root reads everything, and Windows has no such mode
		path := filepath.Join(directory, "unreadable")
		require.NoError(t, os.WriteFile(path, nil, 0o000))
		unreadable = append(unreadable, path)
	}
	s := newShell(t)
	commands(t, func(command *cobra.Command, args []string, needs int) {
		for path, says := range map[string]string{absent: "--env-file: ", directory: "not a regular file", text: "line 1 is not NAME=VALUE"} {
			s.refuses(exitUsage, says, append(args, "--env-file", path)...)
		}
		for flag, paths := range map[string][]string{
			"--journal": {directory, filepath.Join(absent, "journal")},
			"--body":    {directory, absent},
			"--headers": {directory, absent, text},
			"--state":   {directory, text, filepath.Join(absent, "state")},
		} {
			if command.Flags().Lookup(strings.TrimPrefix(flag, "--")) == nil {
				continue
			}
			for _, path := range append(paths, unreadable...) {
				args := append(args, flag, path)
				if flag == "--headers" {
					args = append(args, "--body", text)
				}
				s.refuses(exitUsage, "connectpsp: "+flag+": ", args...)
			}
		}
		if needs&needsJournal != 0 {
			s.refuses(exitFailed, "does not begin as a journal does", append(args, "--journal", text)...)
			s.vars["CONNECTPSP_JOURNAL"] = directory
			s.refuses(exitUsage, "CONNECTPSP_JOURNAL", args...)
			s.vars["CONNECTPSP_JOURNAL"] = filepath.Join(absent, "journal")
			s.refuses(exitUsage, "CONNECTPSP_JOURNAL", args...)
			s.vars["CONNECTPSP_JOURNAL"] = filepath.Join(directory, "journal")
		}
	})
	assert.Zero(t, s.requests.Load())
}

func TestEachWrongVariableOfEachCommandIsAnsweredInOneLine(t *testing.T) {
	credentials := []string{"CONNECTPSP_CLIENT_ID", "CONNECTPSP_CLIENT_SECRET", "CONNECTPSP_APPLICATION_TOKEN"}
	commands(t, func(_ *cobra.Command, args []string, needs int) {
		set := func(name, value, says string) {
			s := newShell(t)
			s.vars[name] = value
			s.refuses(exitUsage, says, args...)
			assert.Zero(t, s.requests.Load())
		}
		if needs&needsGateway != 0 {
			for _, name := range credentials {
				set(name, "", "not set: "+name)
				set(name, "with a space", name)
				set(name, "two\nlines", name)
			}
			set("CONNECTPSP_CRYPTO_TOKEN", "with a space", "CONNECTPSP_CRYPTO_TOKEN")
		}
		if needs&(needsGateway|needsCrypto) != 0 {
			set("CONNECTPSP_ENVIRONMENT", "prod", "CONNECTPSP_ENVIRONMENT must be staging or production")
			set("CONNECTPSP_ENVIRONMENT", "production", "add --production")
			set("CONNECTPSP_BASE_URL", "://", "CONNECTPSP_BASE_URL is not a URL")
			set("CONNECTPSP_BASE_URL", "https://api.connectpsp.com", "add --production")
		}
		if needs&needsCrypto != 0 {
			set("CONNECTPSP_CRYPTO_TOKEN", "", "CONNECTPSP_CRYPTO_TOKEN is not set")
		}
		if needs&needsDatabase != 0 {
			set("DATABASE_URL", "", "DATABASE_URL is not set")
			set("DATABASE_URL", "oracle:x", "DATABASE_URL must begin with")
			for _, address := range []string{"sqlite:/does/not/exist.db", "sqlite:" + t.TempDir(), "postgres://user:the-password@127.0.0.1:1/wallet"} {
				s := newShell(t)
				s.vars["DATABASE_URL"] = address
				s.refuses(exitFailed, "the database of DATABASE_URL", args...)
			}
		}
	})
}

func TestAGatewayThatIsNoneIsAnsweredInOneLineByEachCommand(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	page := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html><body>Welcome to nginx!</body></html>"))
	}
	website := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { page(w) }))
	t.Cleanup(website.Close)

	for name, test := range map[string]struct {
		address func(s *shell) string
		reads   int // the exit status of a command that reads
		waits   int // of one that waits
		pays    int // of one that moves money
	}{
		"a closed port": {func(*shell) string { return "http://" + closed.Addr().String() }, exitFailed, exitFailed, exitNotSent},
		"a website":     {func(*shell) string { return website.URL }, exitFailed, exitFailed, exitNotSent},
		"a sandbox that responds a page to all but the token": {func(s *shell) string {
			gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/auth/token" {
					s.box.ServeHTTP(w, r)
					return
				}
				page(w)
			}))
			t.Cleanup(gateway.Close)
			return gateway.URL
		}, exitFailed, exitFailed, exitUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			commands(t, func(command *cobra.Command, args []string, needs int) {
				if needs&needsGateway == 0 {
					return
				}
				s := newShell(t)
				s.vars["CONNECTPSP_BASE_URL"] = test.address(s)
				switch {
				case command.Name() == "resolve":
					s.refuses(exitFailed, "the journal has no open payment with this reference", args...)
				case command.Parent().Name() == "wait":
					s.refuses(test.waits, "", args...)
				case needs&needsJournal != 0:
					s.refuses(test.pays, "", args...)
				default:
					s.refuses(test.reads, "", args...)
				}
			})
		})
	}
}

func TestAReceiverThatIsNoneIsAnsweredInOneLine(t *testing.T) {
	s := withToken(t)
	for _, target := range []string{"http://127.0.0.1:1", "http://receiver.invalid"} {
		s.refuses(exitFailed, "1 of 1 copies got no response: dial tcp", "webhook", "send", "CASHIN_PAID", "--to", target)
	}
	for _, target := range []string{"", "127.0.0.1:1", "ftp://127.0.0.1", "http://", "http://user:pass@127.0.0.1", "http://127.0.0.1:port"} {
		s.refuses(exitUsage, "--to must be an http or https URL", "webhook", "send", "CASHIN_PAID", "--to", target)
		s.refuses(exitUsage, "--webhook-url must be", "conformance", "--webhook-url", target, "--credited-url", "http://127.0.0.1:1/{reference}")
	}
	s.refuses(exitFailed, "no sandbox is ready", "sandbox", "--check", "--port", "1")
}
