package main

import (
	"os"
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
	refused(filepath.Join(directory, "absent"), "--env-file: open ")
	refused(directory, "--env-file")
	for text, says := range map[string]string{
		"A=1\nsecret-value\n":  "line 2 is not NAME=VALUE",
		"A=\"secret-value\n":   "line 1 has a quote that is not closed",
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
