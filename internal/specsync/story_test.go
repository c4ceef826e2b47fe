package main

import (
	"bytes"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var copies = flag.Bool("whole", false, "take descriptions into whole copies of the project, which takes minutes")

func needsWhole(t *testing.T) {
	t.Helper()
	if !*copies {
		t.Skip("run make spec-shapes")
	}
}

// contractHolds runs the tests of the contract in a copy of the project.
func (p project) contractHolds(t *testing.T) {
	t.Helper()
	_, err := output(t.Context(), p.root, "make", "contract", "RACE=")
	assert.NoError(t, err)
}

func TestEveryShapeIsTakenInAndTheContractTestsRunWithIt(t *testing.T) {
	needsWhole(t)
	for name, text := range shapes(t) {
		t.Run(name, func(t *testing.T) {
			p := checkout(t)
			printed, err := p.taken(t, text)
			require.NoError(t, err, printed)
			if strings.Contains(printed, "Nothing has changed") {
				return // make contract holds of the project itself
			}
			p.contractHolds(t)
			again, err := p.taken(t, text)
			require.NoError(t, err)
			assert.Contains(t, again, "Nothing has changed")
		})
	}
}

func TestWhatDoesNotBuildIsRefusedWithAdviceThatHelps(t *testing.T) {
	needsWhole(t)
	text := reshape(t, func(root object) {
		twoPayers(t)(root)
		withoutEvents(t)(root)
	})
	p := checkout(t)
	before := p.state(t)
	_, err := p.taken(t, text)
	require.ErrorContains(t, err, "openapi/overlay.yaml")
	assert.Equal(t, before, p.state(t))

	_, advice, found := strings.Cut(err.Error(), "add to the actions in openapi/overlay.yaml:\n")
	require.True(t, found, err)
	advice, _, _ = strings.Cut(advice, "\nThe description is kept at ")
	overlay := filepath.Join(p.root, "openapi", "overlay.yaml")
	now, err := os.ReadFile(overlay)
	require.NoError(t, err)
	require.NoError(t, replace([]file{{overlay, append(now, advice+"\n"...)}}))
	printed, err := p.taken(t, text)
	require.NoError(t, err, printed)
	p.contractHolds(t)
}

func TestAnOverlayThatNoLongerFitsIsNamed(t *testing.T) {
	needsWhole(t)
	p := checkout(t)
	before := p.state(t)
	_, err := p.taken(t, reshape(t, func(root object) {
		delete(at(t, root, "components", "schemas", "Failure", "properties"), "code")
	}))
	assert.ErrorContains(t, err, "the overlay no longer fits")
	assert.Equal(t, before, p.state(t))
}

// git runs git in the project as nobody in particular.
func (p project) git(t *testing.T, arguments ...string) string {
	t.Helper()
	text, err := output(t.Context(), p.root, "git", append([]string{"-c", "user.name=nobody", "-c", "user.email=nobody@example.com"}, arguments...)...)
	require.NoError(t, err)
	return text
}

// version210 is a made-up next version: an operation, a field and a value of an enum are new, and a
// field is gone.
func version210(t *testing.T) []byte {
	return reshape(t, func(root object) {
		root["info"].(object)["version"] = "2.1.0"
		addOperations(root)
		schemas := at(t, root, "components", "schemas")
		at(t, schemas, "CashOut", "properties")["settledBy"] = object{"type": "string", "description": "The bank that settled it."}
		status := at(t, schemas, "CashOutStatus")
		status["enum"] = append(status["enum"].([]any), "ON_HOLD")
		delete(at(t, schemas, "CashOut", "properties"), "cancelledAt")
		at(t, schemas, "Failure")["description"] = "Why it failed, in the gateway's words."
	})
}

// From the report to the release, as CONTRIBUTING.md tells it.
func TestANewVersionOfTheDescriptionIsTakenToARelease(t *testing.T) {
	needsWhole(t)
	p := checkout(t)
	p.git(t, "init", "--quiet", "--initial-branch", "main")
	p.git(t, "add", ".")
	p.git(t, "commit", "--quiet", "-m", "The first release")

	command := func(arguments ...string) (int, string, error) {
		var out bytes.Buffer
		status, err := run(t.Context(), p, http.DefaultClient, arguments, &out)
		return status, out.String(), err
	}
	status, printed, err := command("api")
	require.NoError(t, err)
	assert.Zero(t, status)
	assert.Contains(t, printed, "Nothing has been released yet. The first version will be v0.1.0.")
	p.git(t, "tag", "v0.1.0")
	status, printed, err = command("api")
	require.NoError(t, err)
	assert.Zero(t, status)
	assert.Contains(t, printed, "nothing has changed")

	// The report, on paper and on the way in.
	file := filepath.Join(t.TempDir(), "2.1.0.json")
	require.NoError(t, os.WriteFile(file, version210(t), 0o600))
	status, printed, err = command("report", "-markdown", p.description(), file)
	require.NoError(t, err)
	assert.Equal(t, 4, status)
	assert.Contains(t, printed, "## The description, from 2.0.0 to 2.1.0: it breaks the API\n\n### Breaking\n\n")
	breaks, grows, _ := cut(t, printed, "### Additive")
	assert.Contains(t, breaks, "- `GET /cash-out/{id}`: ")
	assert.Contains(t, breaks, "- `webhooks about a cash-out`: ")
	assert.Contains(t, breaks, "cancelledAt")
	assert.NotContains(t, breaks, "ON_HOLD", "a value more breaks nobody whose enums are open")
	grows, asWords, _ := cut(t, grows, "### Words")
	for _, part := range []string{
		"`POST /pix-keys`", "`GET /cash-out/{id}`", "settledBy", "ON\\_HOLD", "`webhooks about a cash-out`",
	} {
		assert.Contains(t, strings.ReplaceAll(grows, "ON_HOLD", `ON\_HOLD`), part)
	}
	assert.Contains(t, asWords, "`webhooks about a cash-out`")

	printed, err = p.taken(t, version210(t))
	require.NoError(t, err, printed)
	assert.Contains(t, printed, "The SDK has no method for POST /pix-keys")

	// The types of connectpsp lack the field that is new and have the one that is gone. Both are
	// ours to change.
	_, err = output(t.Context(), p.root, "make", "contract", "RACE=")
	require.ErrorContains(t, err, "settledBy")
	require.ErrorContains(t, err, "cancelledAt")
	p.edit(t, "connectpsp/types_cashout.go", "CancelledAt pix.Time `json:\"cancelledAt,omitzero\"`", "SettledBy string `json:\"settledBy,omitzero\"`")
	p.edit(t, "sandbox/cashout.go", "payment.CancelledAt = s.timestamp()", "")
	p.edit(t, "sandbox/cashout_test.go", "assert.False(t, cancelled.CancelledAt.IsZero())", "")
	p.contractHolds(t)

	// What it means for users, and for the version.
	status, printed, err = command("api")
	require.NoError(t, err)
	assert.Equal(t, 4, status)
	assert.Contains(t, printed, "gen.CashOut.CancelledAt: removed")
	assert.Contains(t, printed, "The version after v0.1.0 is at least v0.2.0.")
	assert.Contains(t, printed, "Users break.")
	_, _, err = command("release", "v0.1.1")
	assert.ErrorContains(t, err, "connectpsp.Version is v0.1.0 and not v0.1.1")

	p.edit(t, "connectpsp/client.go", `const Version = "0.1.0"`, `const Version = "0.1.1"`)
	_, _, err = command("release", "v0.1.1")
	assert.ErrorContains(t, err, "at least v0.2.0")
	p.edit(t, "connectpsp/client.go", `const Version = "0.1.1"`, `const Version = "0.2.0"`)
	status, _, err = command("api")
	require.NoError(t, err)
	assert.Zero(t, status, "the version in the code says that it breaks")
	_, _, err = command("release", "v0.2.0")
	assert.ErrorContains(t, err, "CHANGELOG.md has no section ## 0.2.0")
	p.edit(t, "CHANGELOG.md", "## Unreleased\n", "## 0.2.0 (2026-12-01)\n\nPayments no longer tell when they were cancelled.\n\n## 0.1.0\n")
	_, printed, err = command("release", "v0.2.0")
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(printed, "Payments no longer tell when they were cancelled.\n"), printed)
	assert.Contains(t, printed, "## The Go API, from v0.1.0 to this checkout: it breaks the API")
	assert.NotContains(t, printed, "First version")
}

func (p project) edit(t *testing.T, name, old, text string) {
	t.Helper()
	path := filepath.Join(p.root, name)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(before), old)
	require.NoError(t, os.WriteFile(path, bytes.Replace(before, []byte(old), []byte(text), 1), 0o644))
}

func cut(t *testing.T, text, at string) (before, after string, found bool) {
	t.Helper()
	before, after, found = strings.Cut(text, at)
	require.True(t, found, "no %q in:\n%s", at, text)
	return before, after, found
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
