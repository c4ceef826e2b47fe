package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestThePathOfAModuleFollowsItsMajorVersion(t *testing.T) {
	for _, path := range []string{"example.com/a-go", "example.com/a-go/v2", "example.com/a-go/v10"} {
		assert.Equal(t, "example.com/a-go", pathOf(path, version{0, 9, 0}))
		assert.Equal(t, "example.com/a-go", pathOf(path, version{1, 2, 3}))
		assert.Equal(t, "example.com/a-go/v2", pathOf(path, version{2, 0, 0}))
		assert.Equal(t, "example.com/a-go/v11", pathOf(path, version{11, 0, 1}))
	}
}

func TestAModuleThatIsRenamedImportsItselfByItsNewPath(t *testing.T) {
	p := project{t.TempDir()}
	files := map[string]string{
		"go.mod": "module example.com/a\n\nrequire example.com/a-b v1.0.0\n",
		"a.go":   "import (\n\t\"example.com/a\"\n\tp \"example.com/a/p\"\n\t\"example.com/a-b\"\n)\n",
		"a.md":   "\"example.com/a\"\n",
	}
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(p.root, name), []byte(text), 0o600))
	}
	require.NoError(t, p.rename("example.com/a", "example.com/a/v2"))
	files["go.mod"] = "module example.com/a/v2\n\nrequire example.com/a-b v1.0.0\n"
	files["a.go"] = "import (\n\t\"example.com/a/v2\"\n\tp \"example.com/a/v2/p\"\n\t\"example.com/a-b\"\n)\n"
	for name, want := range files {
		text, err := os.ReadFile(filepath.Join(p.root, name))
		require.NoError(t, err)
		assert.Equal(t, want, string(text), name)
	}
	path, err := p.modulePath()
	require.NoError(t, err)
	assert.Equal(t, "example.com/a/v2", path)
}

func TestANestedModuleMustRequireTheVersionThatIsReleased(t *testing.T) {
	p := project{t.TempDir()}
	p.write(t, "otel/go.mod", "module example.com/a/otel\n\nrequire (\n\texample.com/a v1.2.0\n\texample.com/b v1.2.1\n)\n")
	require.NoError(t, p.requires("otel", "example.com/a", version{1, 2, 0}))
	assert.ErrorContains(t, p.requires("otel", "example.com/a", version{1, 2, 1}), "does not require example.com/a v1.2.1")
	assert.ErrorContains(t, p.requires("otel", "example.com/a/v2", version{2, 0, 0}), "does not require example.com/a/v2 v2.0.0")
	assert.ErrorIs(t, p.requires("bench", "example.com/a", version{1, 2, 0}), os.ErrNotExist)
}

func TestAModuleWithoutAPathIsRefused(t *testing.T) {
	p := project{t.TempDir()}
	_, err := p.modulePath()
	assert.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(filepath.Join(p.root, "go.mod"), []byte("go 1.26.0\n"), 0o600))
	_, err = p.modulePath()
	assert.ErrorContains(t, err, "no line for the module's path")
}
