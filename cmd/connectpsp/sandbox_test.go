package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// section returns the lines of a text after a title and before the next empty line.
func section(t *testing.T, text, title string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, title+"\n")
	require.True(t, found, text)
	rest, _, _ = strings.Cut(rest, "\n\n")
	return rest
}

func TestTheSandboxTakesThePaymentsOfTheFileThatItPrints(t *testing.T) {
	s := &shell{t: t, vars: map[string]string{"CONNECTPSP_CRYPTO_TOKEN": "unused"}}
	v := s.serve(0, "sandbox", "--port", "0")
	directory := t.TempDir()
	path := filepath.Join(directory, "sandbox.env")
	for _, title := range []string{"# for a .env file", "# for a shell"} {
		require.NoError(t, os.WriteFile(path, []byte(section(t, v.stdout.String(), title)), 0o600))
		o := s.run(append(cashOut("withdrawal-1", "--yes"), "--env-file", path, "--journal", filepath.Join(directory, "journal"))...)
		assert.Equal(t, exitDone, o.code, o.stderr)
	}
	assert.Contains(t, v.stdout.String(), "BaseURL:          \""+v.url+"\",\n}")
	o := s.run("balance", "--env-file", path)
	assert.Contains(t, o.stdout, "R$ 499970.00", "it was paid once")
}

func TestTheSandboxRefusesAWrongPort(t *testing.T) {
	s := &shell{t: t}
	assert.Equal(t, exitUsage, s.run("sandbox", "--port", "65536").code)
	assert.Equal(t, exitUsage, s.run("sandbox", "--production").code)
	v := (&shell{t: t, vars: map[string]string{"CONNECTPSP_CRYPTO_TOKEN": "unused"}}).serve(0, "sandbox", "--port", "0", "--json")
	port := v.url[strings.LastIndex(v.url, ":")+1:]
	o := s.run("sandbox", "--port", port)
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.stderr, "choose another")
	assert.Equal(t, v.url, decode[credentialsResult](t, output{stdout: v.stdout.String()}).BaseURL)
}
