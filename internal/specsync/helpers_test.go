package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const root = "../.."

// checkout copies the project, what is not committed included, to where a test may change it.
func checkout(t *testing.T) project {
	t.Helper()
	list := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
	list.Dir = root
	names, err := list.Output()
	require.NoError(t, err)
	directory := t.TempDir()
	for _, name := range strings.Split(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // deleted, and not committed
		}
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(directory, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(directory, name), text, 0o755))
	}
	t.Setenv("GOFLAGS", "-trimpath") // so that what is compiled in one copy serves the next
	return project{directory}
}

// small is a project of which nothing can be built, to see that nothing in it changes.
func small(t *testing.T) project {
	t.Helper()
	p := project{t.TempDir()}
	for _, path := range []string{p.description(), p.lock(), p.generated()} {
		text, err := os.ReadFile(filepath.Join(root, strings.TrimPrefix(path, p.root)))
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, text, 0o644))
	}
	return p
}

// state is what all files of a project hold.
func (p project) state(t *testing.T) map[string]string {
	t.Helper()
	state := map[string]string{}
	require.NoError(t, filepath.WalkDir(p.root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		digest := sha256.Sum256(text)
		state[path] = hex.EncodeToString(digest[:])
		return err
	}))
	return state
}

// current is the description as it is in openapi/.
func current(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "openapi", "connectpsp.yaml"))
	require.NoError(t, err)
	return text
}

type object = map[string]any

// reshape reads the current description, has it changed, and writes it as JSON, which is YAML too.
func reshape(t testing.TB, change func(object)) []byte {
	t.Helper()
	var root object
	require.NoError(t, yaml.Unmarshal(current(t), &root))
	if change != nil {
		change(root)
	}
	text, err := json.MarshalIndent(root, "", " ")
	require.NoError(t, err)
	return text
}

// at finds a member of a member of an object.
func at(t testing.TB, value any, names ...string) object {
	t.Helper()
	for _, name := range names {
		members, ok := value.(object)
		require.True(t, ok, name)
		value = members[name]
	}
	members, ok := value.(object)
	require.True(t, ok, strings.Join(names, "/"))
	return members
}

// serve responds with a description over TLS.
func serve(t testing.TB, text []byte) (*http.Client, string) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) }))
	t.Cleanup(server.Close)
	return server.Client(), server.URL + "/index.yaml?download"
}

// taken takes a description in and returns what it tells.
func (p project) taken(t *testing.T, text []byte) (string, error) {
	t.Helper()
	client, url := serve(t, text)
	var out bytes.Buffer
	status, err := run(t.Context(), p, client, []string{"sync", "-from", url}, &out)
	require.Equal(t, err != nil, status != 0)
	return out.String(), err
}

func (p project) git(t *testing.T, arguments ...string) string {
	t.Helper()
	identity := []string{"-c", "user.name=nobody", "-c", "user.email=nobody@example.com", "-c", "commit.gpgsign=false"}
	printed, err := output(t.Context(), p.root, "git", append(identity, arguments...)...)
	require.NoError(t, err)
	return printed
}

var whole = flag.Bool("whole", false, "take descriptions in for real, in copies of the project, which takes minutes")

func needsWhole(t *testing.T) {
	t.Helper()
	if !*whole {
		t.Skip("needs -whole")
	}
}

// version210 is a made-up next version: an operation, a field and a value of an enum are new, and a
// field is gone.
func version210(t *testing.T) []byte {
	return reshape(t, func(root object) {
		root["info"].(object)["version"] = "2.1.0"
		root["paths"].(object)["/pix-keys/{key}"] = object{"delete": object{
			"operationId": "deletePixKey", "responses": object{"204": object{"description": "gone"}},
			"parameters": []any{object{"name": "key", "in": "path", "required": true, "schema": object{"type": "string"}}},
		}}
		schemas := at(t, root, "components", "schemas")
		at(t, schemas, "CashOut", "properties")["settledBy"] = object{"type": "string", "description": "The bank that settled it."}
		status := at(t, schemas, "CashOutStatus")
		status["enum"] = append(status["enum"].([]any), "ON_HOLD")
		delete(at(t, schemas, "CashOut", "properties"), "cancelledAt")
		at(t, schemas, "Failure")["description"] = "Why it failed, in the gateway's words."
	})
}
