package readme

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sandbox/control"
)

// The programs of docs/sandbox.md run as they stand there, each against a sandbox of its own.
func TestTheSandboxServesEachLanguageAsItsPageShows(t *testing.T) {
	page, err := os.ReadFile("../../docs/sandbox.md")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		language string
		command  []string
		from     string // what the program has
		prints   string // a regular expression
	}{
		"a shell":               {"sh", []string{"sh", "-eu"}, "/auth/token", `^PAID\n$`},
		"a shell, back in time": {"sh", []string{"sh", "-eu"}, "/restore", `^2199-01-04T\S+\n2199-01-01T\S+\n$`},
		"Python":                {"python", []string{"python3", "-"}, "import hashlib", `^CASHIN_PAID\nCOMPLETED\n1500025\.0\n$`},
		"Node":                  {"js", []string{"node", "--input-type=module"}, "createHmac", `^COMPLETED\n$`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needed := c.command[:1:1]
			if c.language == "sh" {
				needed = append(needed, "curl", "jq")
			}
			for _, tool := range needed {
				if _, err := exec.LookPath(tool); err != nil {
					t.Skip(tool + " is not installed")
				}
			}
			var program string
			for _, block := range regexp.MustCompile("(?s)```"+c.language+"\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
				if strings.Contains(block[1], c.from) {
					program = block[1]
				}
			}
			require.NotEmpty(t, program)
			environment := startSandbox(t, sandbox.WithTime(time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC)))
			url, _ := strings.CutPrefix(environment[0], "CONNECTPSP_BASE_URL=")
			command := exec.CommandContext(t.Context(), c.command[0], c.command[1:]...)
			command.WaitDelay = time.Second
			command.Stdin = strings.NewReader(strings.ReplaceAll(program, "http://127.0.0.1:8420", url))
			command.Env = append(os.Environ(), environment...)
			out, err := command.CombinedOutput()
			require.NoError(t, err, string(out))
			assert.Regexp(t, c.prints, string(out))
		})
	}
}

// Each call in the tables of docs/sandbox.md is one that the sandbox has, with the body that stands
// there.
func TestTheSandboxHasEveryCallThatItsPageLists(t *testing.T) {
	page, err := os.ReadFile("../../docs/sandbox.md")
	require.NoError(t, err)
	gateway, err := sandbox.Start(sandbox.WithTime(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)))
	require.NoError(t, err)
	defer gateway.Close()
	server := httptest.NewServer(control.New(gateway))
	defer server.Close()
	config := gateway.Config()
	config.BaseURL = server.URL
	client, err := connectpsp.New(config)
	require.NoError(t, err)
	charge, err := client.CreateCashIn(t.Context(), connectpsp.CashInRequest{Amount: pix.Centavos(10_00), ExternalReference: "order-1",
		WebhookURL: "http://127.0.0.1:9/", Payer: connectpsp.Payer{Name: "Test User", Document: "12345678909"}})
	require.NoError(t, err)
	payment, err := client.CreateCashOut(t.Context(), connectpsp.CashOutRequest{Amount: pix.Centavos(5_00), ExternalReference: "withdrawal-1",
		Payee: connectpsp.Payee{Name: "Maria Silva", Document: "12345678909", Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com")}})
	require.NoError(t, err)
	require.NoError(t, gateway.PayCashIn(charge.TransactionID))
	state, err := gateway.Snapshot()
	require.NoError(t, err)

	calls := regexp.MustCompile("`(/[a-zA-Z/-]+)`(?: `({[^`]*})`)?")
	made := make(map[string]bool)
	for row := range strings.Lines(string(page)) {
		if !strings.HasPrefix(row, "| ") {
			continue
		}
		for _, call := range calls.FindAllStringSubmatch(row, -1) {
			path, body := call[1], call[2]
			require.NoError(t, gateway.Restore(state))
			if path == "/restore" {
				body = string(state)
			}
			id := charge.TransactionID
			if strings.HasPrefix(path, "/cash-outs/") {
				id = payment.TransactionID
			}
			response, err := http.Post(server.URL+"/_sandbox/v1"+strings.Replace(path, "ID", id, 1), "application/json", strings.NewReader(body))
			require.NoError(t, err)
			said, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			// A transaction of another status cannot make each of the moves.
			assert.Contains(t, []int{200, 204, 409}, response.StatusCode, "%s %s: %s", path, body, said)
			made[path] = true
		}
	}
	for path := range describedPosts(t, server.URL) {
		assert.Contains(t, made, strings.Replace(path, "{id}", "ID", 1), "the page lists it")
	}
}

// describedPosts returns the paths that the description of a sandbox's API has a POST for.
func describedPosts(t *testing.T, url string) map[string]bool {
	response, err := http.Get(url + "/_sandbox/openapi.json")
	require.NoError(t, err)
	defer response.Body.Close()
	var description struct {
		Paths map[string]map[string]any
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&description))
	posts := make(map[string]bool)
	for path, methods := range description.Paths {
		if methods["post"] != nil {
			posts[path] = true
		}
	}
	return posts
}
