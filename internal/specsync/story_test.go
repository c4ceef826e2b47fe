package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// From the report to the release, as CONTRIBUTING.md tells it.
func TestANewVersionOfTheDescriptionIsTakenToARelease(t *testing.T) {
	needsWhole(t)
	p := checkout(t)
	p.git(t, "init", "--quiet", "--initial-branch", "main")
	p.git(t, "add", ".")
	p.git(t, "commit", "--quiet", "-m", "The first release")
	p.git(t, "tag", "v0.1.0")
	release := func(arguments ...string) (string, error) {
		return output(t.Context(), p.root, "go", append([]string{"run", "./internal/release"}, arguments...)...)
	}
	printed, err := release("api")
	require.NoError(t, err)
	assert.Contains(t, printed, "nothing has changed")

	// The report, on paper and on the way in.
	file := filepath.Join(t.TempDir(), "2.1.0.json")
	require.NoError(t, os.WriteFile(file, version210(t), 0o600))
	var out bytes.Buffer
	status, err := run(t.Context(), p, http.DefaultClient, []string{"report", "openapi/connectpsp.yaml", file}, &out)
	require.NoError(t, err)
	assert.Zero(t, status)
	assert.Contains(t, out.String(), "## The description, from 2.0.0 to 2.1.0: it breaks the API\n\n### Breaking\n\n")
	breaks, grows := cut(t, out.String(), "### Additive")
	grows, said := cut(t, grows, "### Otherwise")
	assert.Contains(t, breaks, "GET /cash-out/{id} response")
	assert.Contains(t, breaks, "event CASHOUT")
	assert.Contains(t, breaks, "`cancelledAt` is gone")
	assert.NotContains(t, breaks, "ON", "a value more breaks nobody whose enums are open")
	for _, part := range []string{"DELETE /pix-keys/{key}", "`settledBy` is new", "`status` may be ON\\_HOLD"} {
		assert.Contains(t, grows, part)
	}
	assert.Contains(t, said, "words about its members differ")

	printed, err = p.taken(t, version210(t))
	require.NoError(t, err, printed)
	for _, told := range []string{
		"DELETE /pix-keys/{key}: the SDK has no method for it",
		"To have it, add to CashOut: SettledBy string `json:\"settledBy,omitzero\"`",
		"To have it, add: CashOutOnHold CashOutStatus = \"ON_HOLD\"",
		"the description lacks `cancelledAt`, which was only assumed: CashOut.CancelledAt may always be empty",
	} {
		assert.Contains(t, printed, told)
	}
	again, err := p.taken(t, version210(t))
	require.NoError(t, err)
	assert.Contains(t, again, "Nothing has changed")

	// All of it is news, so the contract holds. The fields are ours to change, as told.
	_, err = output(t.Context(), p.root, "make", "contract", "RACE=")
	require.NoError(t, err)
	p.edit(t, "connectpsp/cashout.go", "CancelledAt pix.Time `json:\"cancelledAt,omitzero\"`", "SettledBy string `json:\"settledBy,omitzero\"`")
	p.edit(t, "sandbox/cashout.go", "payment.CancelledAt = s.timestamp()", "")
	p.edit(t, "sandbox/cashout_test.go", "assert.False(t, cancelled.CancelledAt.IsZero())", "")
	told, err := output(t.Context(), p.root, "make", "contract", "RACE=")
	require.NoError(t, err)
	assert.NotContains(t, told, "settledBy")
	assert.NotContains(t, told, "cancelledAt")

	// What it means for users, and for the version.
	printed, err = release("api")
	require.Error(t, err)
	for _, told := range []string{"connectpsp.CashOut.CancelledAt: removed", "The version after v0.1.0 is at least v0.2.0.", "Users break."} {
		assert.Contains(t, printed, told)
	}
	p.edit(t, "connectpsp/client.go", `const Version = "0.1.0"`, `const Version = "0.1.1"`)
	_, err = release("check", "v0.1.1")
	assert.ErrorContains(t, err, "at least v0.2.0")
	p.edit(t, "connectpsp/client.go", `const Version = "0.1.1"`, `const Version = "0.2.0"`)
	p.edit(t, "otel/go.mod", "connectpsp-go v0.1.0", "connectpsp-go v0.2.0")
	_, err = release("api")
	require.NoError(t, err, "the version in the code says that it breaks")
	p.edit(t, "CHANGELOG.md", "## Unreleased\n", "## 0.2.0 (2026-12-01)\n\nPayments no longer tell when they were cancelled.\n\n## 0.1.0\n")
	printed, err = release("check", "v0.2.0")
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(printed, "Payments no longer tell when they were cancelled.\n"), printed)
	assert.Contains(t, printed, "## The Go API, from v0.1.0 to this checkout: it breaks the API")
	assert.NotContains(t, printed, "First version")
}

// The bundler that the provider uses drops the quotes of texts such as 0001.
func TestExamplesThatContradictTheirSchemaAreReportedAndAccepted(t *testing.T) {
	needsWhole(t)
	p := checkout(t)
	printed, err := p.taken(t, bytes.Replace(current(t), []byte("ispb: '00000000'"), []byte("ispb: 00000000"), 1))
	require.NoError(t, err)
	assert.Contains(t, printed, "Its own examples contradict it")
}

func cut(t *testing.T, text, at string) (before, after string) {
	t.Helper()
	before, after, found := strings.Cut(text, at)
	require.True(t, found, "no %q in:\n%s", at, text)
	return before, after
}

func (p project) edit(t *testing.T, name, old, text string) {
	t.Helper()
	path := filepath.Join(p.root, name)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(before), old)
	require.NoError(t, os.WriteFile(path, bytes.Replace(before, []byte(old), []byte(text), 1), 0o644))
}

// A forge is what spec-watch talks to: a repository to push to, and a gh that takes notes.
func (p project) withForge(t *testing.T) (notes string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("gh is a shell script here")
	}
	origin, tools := t.TempDir(), t.TempDir()
	notes = filepath.Join(tools, "notes")
	p.git(t, "init", "--quiet", "--initial-branch", "main")
	p.git(t, "config", "user.name", "nobody")
	p.git(t, "config", "user.email", "nobody@example.com")
	p.git(t, "add", ".")
	p.git(t, "commit", "--quiet", "-m", "The first release")
	p.git(t, "init", "--quiet", "--bare", origin)
	p.git(t, "remote", "add", "origin", origin)
	p.git(t, "push", "--quiet", "origin", "main")
	gh := "#!/bin/sh\n[ \"$PROPOSE\" != no ] || exit 1\necho \"$@\" >>" + notes + "\nwhile [ $# -gt 1 ]; do if [ \"$1\" = --body-file ]; then cat \"$2\" >>" + notes + "; fi; shift; done\n"
	require.NoError(t, os.WriteFile(filepath.Join(tools, "gh"), []byte(gh), 0o755))
	t.Setenv("PATH", tools+string(os.PathListSeparator)+os.Getenv("PATH"))
	return notes
}

func TestANewDescriptionIsProposedOnce(t *testing.T) {
	needsWhole(t)
	p := checkout(t)
	notes := p.withForge(t)
	text := reshape(t, func(root object) {
		root["info"].(object)["version"] = "2.0.1"
		at(t, root, "components", "schemas", "CashIn", "properties")["note"] = object{"type": "string"}
	})
	client, url := serve(t, text)
	watch := func() (string, error) {
		var out bytes.Buffer
		_, err := run(t.Context(), p, client, []string{"watch", "-from", url}, &out)
		return out.String(), err
	}
	printed, err := watch()
	require.NoError(t, err)
	assert.Contains(t, printed, "It is proposed on the branch description-2.0.1-")
	noted, err := os.ReadFile(notes)
	require.NoError(t, err)
	assert.Contains(t, string(noted), "pr create --head description-2.0.1-")
	assert.Contains(t, string(noted), "### Additive")
	assert.Contains(t, string(noted), "`note`")
	assert.Equal(t, "gen/gen.gen.go\nopenapi/connectpsp.yaml\nopenapi/spec.lock\n", p.git(t, "diff", "--name-only", "main", "HEAD"))

	// A week later it is not merged yet.
	p.git(t, "switch", "--quiet", "main")
	printed, err = watch()
	require.NoError(t, err)
	assert.Contains(t, printed, "It is proposed already")
	again, err := os.ReadFile(notes)
	require.NoError(t, err)
	assert.Equal(t, string(noted), string(again))

	// What somebody is working on does not get into a proposal.
	_, err = watch()
	assert.ErrorContains(t, err, "changes of its own")
}

func TestABranchWithoutAPullRequestIsNotLeftBehind(t *testing.T) {
	p := small(t)
	p.withForge(t)
	t.Setenv("PROPOSE", "no")
	require.NoError(t, os.WriteFile(p.description(), []byte("new"), 0o644))
	assert.ErrorContains(t, p.propose(t.Context(), "description-1", "A title", p.description()), "gh pr create")
	assert.Empty(t, p.git(t, "ls-remote", "origin", "refs/heads/description-1"))
}

func TestNothingIsProposedWhenNothingHasChanged(t *testing.T) {
	needsWhole(t)
	p := checkout(t)
	notes := p.withForge(t)
	client, url := serve(t, current(t))
	status, err := run(t.Context(), p, client, []string{"watch", "-from", url}, new(bytes.Buffer))
	require.NoError(t, err)
	assert.Zero(t, status)
	assert.NoFileExists(t, notes)
	assert.Empty(t, p.git(t, "status", "--porcelain"))
}
