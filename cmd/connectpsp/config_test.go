package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProductionNeedsItsFlagAndTheFlagNeedsProduction(t *testing.T) {
	const yes, no = true, false
	for _, test := range []struct {
		environment, base string
		flag, allowed     bool
	}{
		{"", "", no, yes},
		{"staging", "", no, yes},
		{"production", "", no, no},
		{"production", "", yes, yes},
		{"", "", yes, no},
		{"staging", "", yes, no},
		{"", "http://127.0.0.1:1", no, yes},
		{"", "http://127.0.0.1:1", yes, no},
		{"production", "http://127.0.0.1:1", no, no}, // a proxy on this machine
		{"production", "http://127.0.0.1:1", yes, yes},
		{"", "https://api.homologacao.connectpsp.com", no, yes},
		{"", "https://API.homologacao.connectpsp.com.:443/", yes, no},
		{"production", "https://api.homologacao.connectpsp.com", yes, no},
		{"", "https://api.connectpsp.com", no, no},
		{"staging", "https://API.connectpsp.com./", no, no},
		{"staging", "https://api.connectpsp.com", yes, yes},
		{"", "https://proxy.example", no, no},
		{"", "https://proxy.example", yes, yes},
		{"staging", "https://proxy.example", no, yes},
		{"staging", "https://proxy.example", yes, no},
		{"prod", "", yes, no},
		{"PRODUCTION", "", yes, no},
		{"staging", "https://api。connectpsp。com", no, no}, // connecting turns each of these into production
		{"staging", "https://ａpi.connectpsp.com", no, no},
		{"staging", "https://api.connectpſp.com", no, no},
		{"staging", "https://api.connect\u00adpsp.com", no, no},
		{"staging", "https://api.connect%C2%ADpsp.com", no, no},
		{"staging", "https://api.connectpsp.com..", no, no},
		{"staging", "https://api.connectpsp.com:0443", no, no},
	} {
		variables := map[string]string{"CONNECTPSP_CLIENT_ID": "7", "CONNECTPSP_CLIENT_SECRET": "s", "CONNECTPSP_APPLICATION_TOKEN": "a",
			"CONNECTPSP_ENVIRONMENT": test.environment, "CONNECTPSP_BASE_URL": test.base}
		a := &app{production: test.flag, variable: func(name string) string { return variables[name] }}
		_, err := a.gateway()
		assert.Equal(t, test.allowed, err == nil, "%+v: %v", test, err)
		code, _ := classify(err)
		assert.Equal(t, !test.allowed, code == exitUsage)
	}
}

func TestAWrongConfigurationIsNamedInOneLineAndNothingIsRequested(t *testing.T) {
	for name, test := range map[string]struct {
		set  map[string]string
		says string
	}{
		"nothing set": {map[string]string{"CONNECTPSP_CLIENT_ID": "", "CONNECTPSP_CLIENT_SECRET": "", "CONNECTPSP_APPLICATION_TOKEN": ""},
			"not set: CONNECTPSP_CLIENT_ID, CONNECTPSP_CLIENT_SECRET, CONNECTPSP_APPLICATION_TOKEN"},
		"a broken token": {map[string]string{"CONNECTPSP_APPLICATION_TOKEN": "with a space"}, "CONNECTPSP_APPLICATION_TOKEN"},
		"plain http":     {map[string]string{"CONNECTPSP_BASE_URL": "http://gateway.example", "CONNECTPSP_ENVIRONMENT": "staging"}, "CONNECTPSP_BASE_URL: must be https"},
		"no URL":         {map[string]string{"CONNECTPSP_BASE_URL": "://"}, "CONNECTPSP_BASE_URL is not a URL"},
		"environment":    {map[string]string{"CONNECTPSP_ENVIRONMENT": "test"}, "CONNECTPSP_ENVIRONMENT must be staging or production"},
		"production":     {map[string]string{"CONNECTPSP_ENVIRONMENT": "production"}, "add --production"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShell(t)
			for variable, value := range test.set {
				s.vars[variable] = value
			}
			o := s.run("balance")
			assert.Equal(t, exitUsage, o.code)
			assert.Contains(t, o.stderr, test.says)
			assert.Equal(t, 1, strings.Count(o.stderr, "\n"))
			assert.Empty(t, o.stdout)
			assert.Zero(t, s.requests.Load())
		})
	}
}

func TestAnEnvFileReplacesTheEnvironment(t *testing.T) {
	s := newShell(t)
	path := filepath.Join(t.TempDir(), "sandbox.env")
	text := "# the sandbox\n\nexport CONNECTPSP_CLIENT_ID='" + s.vars["CONNECTPSP_CLIENT_ID"] + "'\n" +
		"CONNECTPSP_CLIENT_SECRET=\"" + s.vars["CONNECTPSP_CLIENT_SECRET"] + "\"\r\nOTHER=1\n" +
		"CONNECTPSP_APPLICATION_TOKEN = " + s.vars["CONNECTPSP_APPLICATION_TOKEN"] + "\n" +
		"CONNECTPSP_BASE_URL=" + s.vars["CONNECTPSP_BASE_URL"]
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	s.vars = map[string]string{"CONNECTPSP_ENVIRONMENT": "production", "CONNECTPSP_CLIENT_ID": "9"}
	o := s.run("balance", "--env-file", path)
	assert.Equal(t, exitDone, o.code, o.stderr)

	s.vars["CONNECTPSP_JOURNAL"] = filepath.Join(t.TempDir(), "journal")
	s.box.FailNext("createCashIn", lost...)
	o = s.run(append(cashIn("order-1"), "--env-file", path)...)
	assert.Contains(t, o.stderr, "connectpsp cash-in resolve --reference order-1 --env-file "+quote(path), "the line goes to the same gateway")
}

func TestAnEnvFileThatOthersCanReadOrThatIsBrokenIsRefused(t *testing.T) {
	s := newShell(t)
	directory := t.TempDir()
	refused := func(path, says string) {
		o := s.run("balance", "--env-file", path)
		assert.Equal(t, exitUsage, o.code)
		assert.Contains(t, o.stderr, says)
		assert.NotContains(t, o.stderr, "secret-value")
		assert.Zero(t, s.requests.Load())
	}
	refused(filepath.Join(directory, "absent"), "--env-file: ")
	refused(directory, "--env-file")
	if mkfifo, err := exec.LookPath("mkfifo"); err == nil {
		path := filepath.Join(directory, "fifo")
		require.NoError(t, exec.CommandContext(t.Context(), mkfifo, path).Run())
		refused(path, "not a regular file")
	}
	for text, says := range map[string]string{
		"A=1\nsecret-value\n":  "line 2 is not NAME=VALUE",
		"A=\"secret-value\n":   "line 1 has a quote that is not closed",
		"A='secret-value' b":   "line 1 has more than a value in quotes",
		"A B=secret-value":     "line 1 is not NAME=VALUE",
		"CONNECTPSP_CLIENT_ID": "line 1 is not NAME=VALUE",
	} {
		path := filepath.Join(directory, "broken.env")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		refused(path, says)
	}
	if runtime.GOOS == "windows" {
		return // it has no such modes
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o644, 0o620} {
		path := filepath.Join(directory, "open.env")
		require.NoError(t, os.WriteFile(path, []byte("A=secret-value\n"), 0o600))
		require.NoError(t, os.Chmod(path, mode))
		refused(path, "chmod 600 "+quote(path))
	}
}

func TestAnEnvFileHasCommentsAfterValuesAsAShellHas(t *testing.T) {
	values, err := parseEnv(strings.NewReader("A=one # a comment\nB='two # in quotes' # a comment\nC=#three\nD= # a comment\n" +
		"E=four#five\nF=\"\"#x\nG=six\t# a comment\nH=a=b\n"))
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"A": "one", "B": "two # in quotes", "C": "#three", "D": "", "E": "four#five", "F": "", "G": "six", "H": "a=b"}, values)
}

func TestASandboxInAnotherContainerNeedsItsFlagAndIsNeverProduction(t *testing.T) {
	const base = "http://sandbox:8420"
	for _, test := range []struct {
		environment, base   string
		private, production bool
		says                string // empty if it is allowed
	}{
		{"", base, true, false, ""},
		{"staging", base, true, false, ""},
		{"", "http://10.1.2.3:8420", true, false, ""},
		{"", "http://127.0.0.1:8420", true, false, ""}, // a container's port, with webhooks to host.docker.internal
		{"", base, false, false, "add --private-network"},
		{"staging", base, false, false, "--private-network is for a sandbox"},
		{"", base, true, true, "leave one out"},
		{"production", base, true, false, "--private-network is for a sandbox"},
		{"", "http://sandbox.example.com", true, false, "CONNECTPSP_BASE_URL: must be https"},
		{"", "https://sandbox:8420", true, false, "--private-network is for a sandbox"},
		{"", "http://api.connectpsp.com", true, false, "--private-network is for a sandbox"},
		{"", "", true, false, "--private-network is for a sandbox"},
	} {
		s := &shell{t: t, vars: map[string]string{"CONNECTPSP_CLIENT_ID": "7", "CONNECTPSP_CLIENT_SECRET": "a-b", "CONNECTPSP_APPLICATION_TOKEN": "a-c",
			"CONNECTPSP_ENVIRONMENT": test.environment, "CONNECTPSP_BASE_URL": test.base}}
		a := &app{private: test.private, production: test.production, variable: func(name string) string { return s.vars[name] }}
		g, err := a.gateway()
		if test.says == "" {
			require.NoError(t, err, "%+v", test)
			assert.Equal(t, sandboxGateway, g.kind)
			_, err = a.newClient(g)
			assert.NoError(t, err, "%+v", test)
			continue
		}
		if assert.Error(t, err, "%+v", test) {
			assert.Contains(t, textOf(err), test.says, "%+v", test)
			assert.NotContains(t, textOf(err), "WithPrivateNetwork")
		}
	}
}

func TestTheLineThatSettlesAPaymentGoesToTheSameSandbox(t *testing.T) {
	s := newShell(t)
	s.box.FailNext("createCashOut", lost...)
	o := s.run(cashOut("withdrawal-1", "--yes", "--private-network")...)
	assert.Contains(t, o.stderr, "cash-out resolve --reference withdrawal-1 --private-network")
}
