package readme

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sandbox/control"
)

// The guide runs as a newcomer runs it: each program is saved under its name, and the commands run
// in one shell, in their order. The receiver, which has a shell of its own, runs in the background.
func TestTheGuideToAFirstPaymentPrintsWhatItShows(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not installed")
		}
	}
	page, err := os.ReadFile("../../docs/first-payment.md")
	require.NoError(t, err)
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	gateway, err := sandbox.Start(sandbox.WithSeed(1))
	require.NoError(t, err)
	defer gateway.Close()
	server := httptest.NewServer(control.New(gateway))
	defer server.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, free.Close())
	addresses := strings.NewReplacer("http://127.0.0.1:8420", server.URL, "127.0.0.1:3000", free.Addr().String())

	directory := t.TempDir()
	require.NoError(t, os.Symlink(root, filepath.Join(directory, "connectpsp-go")))
	var script, received strings.Builder
	script.WriteString("RECEIVED=$PWD/received\nset -euo pipefail\ntrap 'kill $(jobs -p) || true' EXIT\n")
	shown := map[string]string{}
	blocks := regexp.MustCompile("(?s)(?:Save this as `([^`]+)`:\n\n)?```([a-z]+)\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	for i, block := range blocks {
		name, language, text := block[1], block[2], addresses.Replace(block[3])
		switch {
		case language == "go":
			saved := filepath.Join(directory, fmt.Sprint(i)+".go")
			require.NoError(t, os.WriteFile(saved, []byte(text), 0o644))
			fmt.Fprintf(&script, "mkdir %s; cp %s %s\n", path.Dir(name), saved, name)
		case language == "text":
			received.WriteString(block[3])
			fmt.Fprintf(&script, "until grep -qxF '%s' $RECEIVED; do sleep 0.1; done\n", strings.TrimSpace(block[3]))
		case language == "output":
			shown[fmt.Sprint(i-1)] = block[3]
		case strings.Contains(text, "connectpsp sandbox"), strings.Contains(text, "staging.env"): // the test is the sandbox; there is no staging
		case strings.Contains(text, "go run ./receiver"):
			script.WriteString("go build -o receive ./receiver\n./receive >$RECEIVED &\n")
		default:
			fmt.Fprintf(&script, "{\n%s} >%s\n", text, filepath.Join(directory, fmt.Sprint(i)))
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "bash")
	command.WaitDelay = time.Second
	command.Dir, command.Stdin = directory, strings.NewReader(script.String())
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s", output)

	require.NotEmpty(t, shown)
	for i, want := range shown {
		got, err := os.ReadFile(filepath.Join(directory, i))
		require.NoError(t, err)
		assert.Equal(t, want, string(got))
	}
	got, err := os.ReadFile(filepath.Join(directory, "received"))
	require.NoError(t, err)
	assert.Equal(t, received.String(), string(got))
	assert.Len(t, gateway.CashOuts().ByReference("withdrawal-3"), 1)
}
