package readme

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sandbox/control"
)

// The programs of docs/sandbox.md run as they stand there, each against a sandbox of its own.
func TestTheSandboxServesEachLanguageAsItsPageShows(t *testing.T) {
	page, err := os.ReadFile("../../docs/sandbox.md")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		command []string
		from    string // what the program has
		prints  string // a regular expression
	}{
		"sh":     {[]string{"sh", "-eu"}, "/auth/token", `^PAID\n$`},
		"python": {[]string{"python3", "-"}, "import hashlib", `^CASHIN_PAID\nCOMPLETED\n1500025\.0\n$`},
		"js":     {[]string{"node", "--input-type=module"}, "createHmac", `^COMPLETED\n$`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needed := c.command[:1:1]
			if name == "sh" {
				needed = append(needed, "curl", "jq")
			}
			for _, tool := range needed {
				if _, err := exec.LookPath(tool); err != nil {
					t.Skip(tool + " is not installed")
				}
			}
			var program string
			for _, block := range regexp.MustCompile("(?s)```"+name+"\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
				if strings.Contains(block[1], c.from) {
					program = block[1]
				}
			}
			require.NotEmpty(t, program)
			gateway, err := sandbox.Start()
			require.NoError(t, err)
			defer gateway.Close()
			server := httptest.NewServer(control.New(gateway))
			defer server.Close()
			config := gateway.Config()
			command := exec.CommandContext(t.Context(), c.command[0], c.command[1:]...)
			command.WaitDelay = time.Second
			command.Stdin = strings.NewReader(strings.ReplaceAll(program, "http://127.0.0.1:8420", server.URL))
			command.Env = append(os.Environ(), "CONNECTPSP_BASE_URL="+server.URL, "CONNECTPSP_CLIENT_ID="+config.ClientID,
				"CONNECTPSP_CLIENT_SECRET="+config.ClientSecret.Reveal(), "CONNECTPSP_APPLICATION_TOKEN="+config.ApplicationToken.Reveal(),
				"CONNECTPSP_CRYPTO_TOKEN="+config.CryptoToken.Reveal())
			out, err := command.CombinedOutput()
			require.NoError(t, err, string(out))
			assert.Regexp(t, c.prints, string(out))
		})
	}
}
