package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/internal/contract"
)

const root = "../.."

// small is a project of two files.
func small(t *testing.T) project {
	t.Helper()
	p := project{t.TempDir()}
	text, err := os.ReadFile(filepath.Join(root, "openapi", "connectpsp.yaml"))
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Dir(p.description()), 0o755))
	require.NoError(t, os.WriteFile(p.description(), text, 0o644))
	return p
}

func (p project) git(t *testing.T, arguments ...string) string {
	t.Helper()
	identity := []string{"-c", "user.name=nobody", "-c", "user.email=nobody@example.com", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false"}
	printed, err := output(t.Context(), p.root, "git", append(identity, arguments...)...)
	require.NoError(t, err)
	return printed
}

func TestTheNextVersionFollowsFromWhatHasChanged(t *testing.T) {
	for _, test := range []struct {
		last string
		what contract.Level
		next string
	}{
		{"v0.1.0", contract.Nothing, "v0.1.1"},
		{"v0.1.0", contract.Otherwise, "v0.1.1"},
		{"v0.1.0", contract.Additive, "v0.1.1"},
		{"v0.1.9", contract.Breaking, "v0.2.0"},
		{"v1.2.3", contract.Nothing, "v1.2.4"},
		{"v1.2.3", contract.Otherwise, "v1.2.4"},
		{"v1.2.3", contract.Additive, "v1.3.0"},
		{"v1.2.3", contract.Breaking, "v2.0.0"},
	} {
		last, err := parseVersion(test.last)
		require.NoError(t, err)
		assert.Equal(t, test.next, last.next(test.what).String(), test)
	}
}

func TestVersionsAreOrderedByNumber(t *testing.T) {
	assert.Negative(t, version{0, 9, 0}.compare(version{0, 10, 0}))
	assert.Negative(t, version{0, 10, 9}.compare(version{1, 0, 0}))
	assert.Positive(t, version{1, 0, 1}.compare(version{1, 0, 0}))
	assert.Zero(t, version{1, 0, 1}.compare(version{1, 0, 1}))
}

func TestAnInvalidVersionIsRefused(t *testing.T) {
	for _, text := range []string{"", "1.2.3", "v1.2", "v1.2.3-rc.1", "v1.2.3+build", "v01.2.3", "v1.2.3 ", "v1.2.-3", "va.b.c", "v1.2.3.4"} {
		_, err := parseVersion(text)
		assert.Error(t, err, text)
	}
}

func TestApidiffIsRead(t *testing.T) {
	text := `Incompatible changes:
- ./connectpsp.(*Client).GetCashIn: changed from func(string) to func(int)
- ./connectpsp.CashIn.Amount: changed from github.com/a/b/pix.Amount to string
- ./connectpsp.MaxAttempts: value changed from 4 to 5
- ./gen.Balance.UpdatedAt: removed
- package github.com/a/b/signing: removed
Compatible changes:
- ./connectpsp.New2: added
- package github.com/a/b/cards: added
`
	assert.Equal(t, []contract.Change{
		{Level: contract.Breaking, Where: "connectpsp.(*Client).GetCashIn", Text: "changed from func(string) to func(int)"},
		{Level: contract.Breaking, Where: "connectpsp.CashIn.Amount", Text: "changed from github.com/a/b/pix.Amount to string"},
		{Level: contract.Breaking, Where: "connectpsp.MaxAttempts", Text: "value changed from 4 to 5"},
		{Level: contract.Breaking, Where: "gen.Balance.UpdatedAt", Text: "removed"},
		{Level: contract.Breaking, Where: "package github.com/a/b/signing", Text: "removed"},
		{Level: contract.Additive, Where: "connectpsp.New2", Text: "added"},
		{Level: contract.Additive, Where: "package github.com/a/b/cards", Text: "added"},
	}, readApidiff(text))
	assert.Empty(t, readApidiff(""))
}

// Every release changes it.
func TestTheValueOfVersionIsNoChange(t *testing.T) {
	assert.Empty(t, readApidiff("Incompatible changes:\n- ./connectpsp.Version: value changed from \"1.0.0\" to \"1.0.1\"\n"))
	for _, line := range []string{
		"- ./connectpsp.Version: removed",
		"- ./connectpsp.Version: changed from untyped string to int",
		"- ./connectpsp.VersionOfTheAPI: value changed from \"1\" to \"2\"",
		"- ./auth.Version: value changed from \"1\" to \"2\"",
	} {
		changes := readApidiff("Incompatible changes:\n" + line + "\n")
		require.Len(t, changes, 1, line)
		assert.Equal(t, contract.Breaking, changes[0].Level, line)
	}
}

// What apidiff prints for an operation more, and for one less.
func TestAnOperationMoreAddsToTheRawClientAndOneLessBreaksIt(t *testing.T) {
	changes := readApidiff(`Incompatible changes:
- ./gen.ClientInterface.GetExtra: added
- ./gen.ClientWithResponsesInterface.GetExtraWithResponse: added
Compatible changes:
- ./gen.(*Client).GetExtra: added
- ./gen.ClientInterface.GetExtra: added
- ./gen.GetExtraResponse: added
`)
	assert.Len(t, changes, 4, "none comes twice")
	for _, c := range changes {
		assert.Equal(t, contract.Additive, c.Level, c)
	}
	for _, line := range []string{
		"- ./gen.ClientInterface.GetExtra: removed",
		"- ./gen.ClientInterface.GetExtra, method set of *ClientWithResponses: removed",
		"- ./gen.ClientWithResponsesInterface.GetExtraWithResponse: removed",
		"- ./gen.ClientInterface.GetBalance: changed from func(context.Context) error to func() error",
		"- ./gen.ClientInterface.sealed: added unexported method",
		"- ./gen.HttpRequestDoer.CloseIdleConnections: added", // which users implement
		"- ./journal.ClientInterface.Begin: added",
	} {
		changes := readApidiff("Incompatible changes:\n" + line + "\n")
		require.Len(t, changes, 1, line)
		assert.Equal(t, contract.Breaking, changes[0].Level, line)
	}
}

func TestTheNotesOfAVersionAreItsSectionOfTheChangelog(t *testing.T) {
	p := project{t.TempDir()}
	changelog := "# Changelog\n\n## Unreleased\n\nLater.\n\n## 0.2.0 (2026-12-01)\n\n- One.\n\n### And\n\n- Two.\n\n## 0.1.0\n\nFirst.\n"
	require.NoError(t, os.WriteFile(filepath.Join(p.root, "CHANGELOG.md"), []byte(changelog), 0o600))
	notes, err := p.notes(version{0, 2, 0})
	require.NoError(t, err)
	assert.Equal(t, "- One.\n\n### And\n\n- Two.", notes)
	notes, err = p.notes(version{0, 1, 0})
	require.NoError(t, err)
	assert.Equal(t, "First.", notes)
	_, err = p.notes(version{0, 2, 1})
	assert.ErrorContains(t, err, "no section ## 0.2.1")
	require.NoError(t, os.WriteFile(filepath.Join(p.root, "CHANGELOG.md"), []byte("## 0.2.0\n\n## 0.1.0\n\nFirst.\n"), 0o600))
	_, err = p.notes(version{0, 2, 0})
	assert.ErrorContains(t, err, "says nothing under ## 0.2.0")
}

func TestTheCodeHasToSayOnlyThatUsersBreak(t *testing.T) {
	for _, test := range []struct {
		what   contract.Level
		inCode version
		status int
	}{
		{contract.Nothing, version{0, 1, 0}, 0}, {contract.Otherwise, version{0, 1, 0}, 0}, {contract.Additive, version{0, 1, 0}, 0},
		{contract.Breaking, version{0, 1, 0}, 4}, {contract.Breaking, version{0, 1, 9}, 4}, {contract.Breaking, version{0, 2, 0}, 0},
	} {
		last := version{0, 1, 0}
		since := progress{last, last.next(test.what), test.inCode, []contract.Report{contract.NewReport("", "", "", []contract.Change{{Level: test.what}})}}
		assert.Equal(t, test.status, since.verdict(io.Discard), test)
	}
}

func TestTheLastReleaseIsTheHighestVersionThatIsTagged(t *testing.T) {
	p := small(t)
	p.git(t, "init", "--quiet")
	p.git(t, "add", ".")
	p.git(t, "commit", "--quiet", "-m", "All")
	last, err := p.lastRelease(t.Context(), version{})
	require.NoError(t, err)
	assert.Zero(t, last)
	for _, tag := range []string{"v1.9.0", "v1.10.0", "v1.10.1-rc.1", "vague", "w2.0.0", "v01.11.0"} {
		p.git(t, "tag", tag)
	}
	for before, want := range map[version]version{{}: {1, 10, 0}, {1, 10, 0}: {1, 9, 0}, {1, 9, 5}: {1, 9, 0}, {1, 9, 0}: {}, {2, 0, 0}: {1, 10, 0}} {
		last, err := p.lastRelease(t.Context(), before)
		require.NoError(t, err)
		assert.Equal(t, want, last, before)
	}
}

// What CI checks out by itself has no tags, and would compare with nothing.
func TestAPartOfTheRepositoryIsNotTakenForOneWithoutReleases(t *testing.T) {
	p := small(t)
	p.git(t, "init", "--quiet")
	for range 2 {
		p.git(t, "add", ".")
		p.git(t, "commit", "--quiet", "--allow-empty", "-m", "All")
	}
	part := project{filepath.Join(t.TempDir(), "part")}
	p.git(t, "clone", "--quiet", "--depth", "1", "--no-tags", "file://"+filepath.ToSlash(p.root), part.root)
	_, err := part.lastRelease(t.Context(), version{})
	assert.ErrorIs(t, err, errPart)
	require.NoError(t, os.MkdirAll(filepath.Join(part.root, "connectpsp"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(part.root, "connectpsp", "client.go"), []byte("const Version = \"0.2.0\"\n"), 0o644))
	var out bytes.Buffer
	_, err = part.api(t.Context(), &out)
	assert.NoError(t, err)
	assert.Contains(t, out.String(), "Nothing was compared")
	assert.ErrorIs(t, part.check(t.Context(), "v0.2.0", &out), errPart)
}

func TestTheVersionInTheCodeIsFound(t *testing.T) {
	found, err := project{root}.versionInCode()
	require.NoError(t, err)
	assert.NotZero(t, found)
}

func TestAnUnknownCommandIsRefused(t *testing.T) {
	for _, arguments := range [][]string{
		nil, {""}, {"api", "v1.0.0"}, {"check"}, {"check", "v1.0.0", "v1.0.1"}, {"v1.0.0"}, {"-h"},
	} {
		status, err := run(t.Context(), project{root}, arguments, io.Discard)
		assert.Equal(t, 2, status, arguments)
		assert.ErrorIs(t, err, errUsage, arguments)
	}
	for _, tag := range []string{"", "1.0.0", "v1"} { // as make has it from an empty VERSION, for instance
		status, err := run(t.Context(), project{root}, []string{"check", tag}, io.Discard)
		assert.Equal(t, 1, status, tag)
		assert.ErrorContains(t, err, "is not a version such as v1.2.3", tag)
	}
}
