package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheNextVersionFollowsFromWhatHasChanged(t *testing.T) {
	for _, test := range []struct {
		last string
		what level
		next string
	}{
		{"v0.1.0", nothing, "v0.1.1"},
		{"v0.1.0", words, "v0.1.1"},
		{"v0.1.0", additive, "v0.1.1"},
		{"v0.1.9", breaking, "v0.2.0"},
		{"v1.2.3", nothing, "v1.2.4"},
		{"v1.2.3", words, "v1.2.4"},
		{"v1.2.3", additive, "v1.3.0"},
		{"v1.2.3", breaking, "v2.0.0"},
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

func TestWhatIsNoVersionIsRefused(t *testing.T) {
	for _, text := range []string{"", "1.2.3", "v1.2", "v1.2.3-rc.1", "v1.2.3+build", "v01.2.3", "v1.2.3 ", "v1.2.-3", "va.b.c", "v1.2.3.4"} {
		_, err := parseVersion(text)
		assert.Error(t, err, text)
	}
}

func TestApidiffIsRead(t *testing.T) {
	text := `Incompatible changes:
- ./gen.Balance.UpdatedAt: removed
- ./connectpsp.(*Client).GetCashIn: changed from func(string) to func(int)
- package removed
Compatible changes:
- ./connectpsp.New2: added
`
	assert.Equal(t, []change{
		{breaking, "gen.Balance.UpdatedAt", "removed"},
		{breaking, "connectpsp.(*Client).GetCashIn", "changed from func(string) to func(int)"},
		{breaking, "the module", "package removed"},
		{additive, "connectpsp.New2", "added"},
	}, readApidiff(text))
	assert.Empty(t, readApidiff(""))
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
}

func TestTheVersionInTheCodeIsFound(t *testing.T) {
	found, err := project{root}.versionInCode()
	require.NoError(t, err)
	assert.NotZero(t, found)
}

func TestABranchIsNamedByWhatABranchMayBeCalled(t *testing.T) {
	for version, safe := range map[string]string{
		"2.1.0": "2.1.0", "2.1.0-beta;$rm -rf": "2.1.0.beta.rm.rf", "--upload-pack=x": "upload.pack.x", "2..1": "2.1", "@{u}": "u", "é\n": "",
		strings.Repeat("1", 300): strings.Repeat("1", 30),
	} {
		assert.Equal(t, safe, safeForBranch(version))
		_, err := output(t.Context(), "", "git", "check-ref-format", "refs/heads/description-"+safe+"-0123abcd")
		assert.NoError(t, err, version)
	}
}
