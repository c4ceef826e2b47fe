package readme

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var runCommands = flag.Bool("readme.run", false, "run the commands of the READMEs on a clone, which takes a minute")

// between runs between the commands that start the sandbox and those that use it: what a person
// does there.
const between = `
until curl -fsS http://127.0.0.1:8420/readyz; do sleep 0.1; done
eval "$(sed -n '/^# for a shell/,/^$/p' "$PRINTED")"
`

func TestTheCommandsOfTheREADMEsRunAsTheyStand(t *testing.T) {
	if !*runCommands {
		t.Skip("make readme-run runs them")
	}
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	for _, path := range []string{"../../README.md", "../../README.pt-BR.md"} {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		directory := t.TempDir()
		var script strings.Builder
		script.WriteString("set -euxo pipefail\ntrap 'kill $(jobs -p) || true' EXIT\n")
		for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			commands := strings.ReplaceAll(block[1], "https://github.com/connectpsp/connectpsp-go", root+" connectpsp-go")
			commands = strings.ReplaceAll(commands, "\nconnectpsp sandbox\n", "\nconnectpsp sandbox >\"$PRINTED\" &\n"+between)
			script.WriteString(commands)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		command := exec.CommandContext(ctx, "bash")
		command.WaitDelay = time.Second
		command.Dir, command.Stdin = directory, strings.NewReader(script.String())
		command.Env = append(os.Environ(), "GOBIN="+directory, "PATH="+directory+":"+os.Getenv("PATH"),
			"PRINTED="+filepath.Join(directory, "printed"), "HOME="+directory, "GOPATH="+goEnv(t, "GOPATH"), "GOCACHE="+goEnv(t, "GOCACHE"))
		output, err := command.CombinedOutput()
		require.NoError(t, err, "%s: %s", path, output)
		require.Contains(t, string(output), "AWAITING_PAYMENT", path)
		require.Contains(t, string(output), "R$ 500.000,00", path)
	}
}

// goEnv returns a setting of the go command, which would follow HOME.
func goEnv(t *testing.T, name string) string {
	value, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(value))
}
