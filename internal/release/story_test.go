package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/internal/contract"
)

var whole = flag.Bool("whole", false, "release a whole copy of the project, which takes a while")

// checkout copies the project, what is not committed included, to where a test may change it.
func checkout(t *testing.T) project {
	t.Helper()
	t.Setenv("GOFLAGS", "-trimpath") // so that what is compiled in one copy serves the next
	names, err := output(t.Context(), root, "git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
	require.NoError(t, err)
	p := project{t.TempDir()}
	for name := range strings.SplitSeq(strings.TrimSuffix(names, "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // deleted, and not committed
		}
		require.NoError(t, err)
		p.write(t, name, string(text))
	}
	return p
}

func (p project) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(p.root, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

func (p project) replace(t *testing.T, name, old, text string) {
	t.Helper()
	before, err := os.ReadFile(filepath.Join(p.root, name))
	require.NoError(t, err)
	require.Contains(t, string(before), old)
	p.write(t, name, strings.Replace(string(before), old, text, 1))
}

// becomes writes a version where a maintainer writes it before a release.
func (p project) becomes(t *testing.T, v version) {
	t.Helper()
	before, err := p.versionInCode()
	require.NoError(t, err)
	constant := func(v version) string { return `const Version = "` + strings.TrimPrefix(v.String(), "v") + `"` }
	p.replace(t, "connectpsp/client.go", constant(before), constant(v))
	p.write(t, "CHANGELOG.md", "# Changelog\n\n## "+strings.TrimPrefix(v.String(), "v")+"\n\nNews of "+v.String()+".\n")
	path, err := p.modulePath()
	require.NoError(t, err)
	p.write(t, "otel/go.mod", "require (\n\t"+path+" "+v.String()+"\n)\n")
}

// checked has the project become a version, and checks that.
func (p project) checked(t *testing.T, v version) (string, error) {
	t.Helper()
	p.becomes(t, v)
	var out bytes.Buffer
	_, err := run(t.Context(), p, []string{"check", v.String()}, &out)
	return out.String(), err
}

func (p project) commit(t *testing.T) {
	t.Helper()
	p.git(t, "add", ".")
	p.git(t, "commit", "--quiet", "-m", "Work")
}

func (p project) released(t *testing.T, v version) {
	t.Helper()
	p.commit(t)
	p.git(t, "tag", v.String())
}

// From a first stable version to the next major one, with the programs that a release runs.
func TestAPatchAMinorAndAMajorVersionCanBeReleased(t *testing.T) {
	if !*whole {
		t.Skip("run make spec-shapes")
	}
	p := checkout(t)
	path, err := p.modulePath()
	require.NoError(t, err)
	first := version{1, 0, 0}
	for pathOf(path, first) != path {
		first.major++
	}
	patch, minor, major := version{first.major, 0, 1}, version{first.major, 1, 0}, version{first.major + 1, 0, 0}
	api := func() (int, string) {
		var out bytes.Buffer
		status, err := run(t.Context(), p, []string{"api"}, &out)
		require.NoError(t, err)
		return status, out.String()
	}

	p.write(t, "connectpsp/story.go", "package connectpsp\n\n// Story is told here.\ntype Story struct{ Kept, Gone string }\n")
	p.git(t, "init", "--quiet", "--initial-branch", "main")
	p.becomes(t, first)
	p.released(t, first)

	// What no user sees takes a patch. Who takes more may.
	p.write(t, "connectpsp/unseen.go", "package connectpsp\n\nfunc unseen() {}\n")
	p.commit(t)
	_, err = p.checked(t, first)
	assert.ErrorContains(t, err, "has been released from an earlier commit")
	notes, err := p.checked(t, minor)
	require.NoError(t, err, "more than is needed")
	assert.Contains(t, notes, "nothing has changed")
	notes, err = p.checked(t, patch)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(notes, "News of "+patch.String()+".\n"), notes)
	assert.Contains(t, notes, "## The Go API, from "+first.String()+" to this checkout: nothing has changed")
	p.released(t, patch)

	// A method and an operation more take a minor version.
	p.write(t, "connectpsp/grown.go", "package connectpsp\n\n// Grow does nothing.\nfunc (c *Client) Grow() {}\n")
	p.replace(t, "openapi/connectpsp.yaml", "\npaths:\n", `
paths:
  /stories:
    get:
      tags: [Stories]
      operationId: getStories
      summary: Read the stories
      responses:
        '200':
          description: All of them.
`)
	_, err = output(t.Context(), p.root, "go", "generate", "./gen")
	require.NoError(t, err)
	status, printed := api()
	assert.Zero(t, status)
	assert.Contains(t, printed, "The version after "+patch.String()+" is at least "+minor.String()+".")
	for _, part := range []string{"connectpsp.(*Client).Grow: added", "gen.ClientInterface.GetStories: added", "GET /stories"} {
		assert.Contains(t, printed, part)
	}
	assert.NotContains(t, printed, "breaking")
	_, err = p.checked(t, version{first.major, 0, 2})
	assert.ErrorContains(t, err, "at least "+minor.String())
	_, err = p.checked(t, minor)
	require.NoError(t, err)
	p.released(t, minor)

	// A field less takes a major version, and that another path.
	p.replace(t, "connectpsp/story.go", "Kept, Gone", "Kept")
	status, printed = api()
	assert.Equal(t, 4, status)
	assert.Contains(t, printed, "The version after "+minor.String()+" is at least "+major.String()+".\nUsers break.")
	_, err = p.checked(t, version{first.major, 2, 0})
	assert.ErrorContains(t, err, "at least "+major.String())
	_, err = p.checked(t, major)
	require.ErrorContains(t, err, "the module path has to be "+pathOf(path, major)+" for "+major.String())
	require.NoError(t, p.rename(path, pathOf(path, major)))
	notes, err = p.checked(t, major)
	require.NoError(t, err)
	assert.Contains(t, notes, "### Breaking\n\n- `connectpsp.Story.Gone`: removed\n")
	assert.Equal(t, 1, strings.Count(notes, "\n- "), "the path changes nothing else:\n%s", notes)
	_, err = p.checked(t, minor.next(contract.Nothing))
	assert.ErrorContains(t, err, "at least "+major.String())
	p.becomes(t, major)
	p.released(t, major)

	// And then it goes on.
	p.write(t, "connectpsp/unseen.go", "package connectpsp\n\nfunc unseenEither() {}\n")
	notes, err = p.checked(t, major.next(contract.Nothing))
	require.NoError(t, err)
	assert.Contains(t, notes, "to this checkout: nothing has changed")
}
