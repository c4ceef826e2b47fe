package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// failRename makes the nth file that is put in place, counted from one, fail.
func failRename(t *testing.T, nth int) {
	n := 0
	rename = func(from, to string) error {
		if n++; n == nth {
			return &os.LinkError{Op: "rename", Old: from, New: to, Err: os.ErrPermission}
		}
		return os.Rename(from, to)
	}
	t.Cleanup(func() { rename = os.Rename })
}

func TestAllFilesAreReplacedOrNone(t *testing.T) {
	for name, obstruct := range map[string]func(t *testing.T, p project){
		"one cannot be written beside": func(t *testing.T, p project) { require.NoError(t, os.RemoveAll(filepath.Dir(p.generated()))) },
		"one cannot be read": func(t *testing.T, p project) {
			require.NoError(t, os.Remove(p.lock()))
			require.NoError(t, os.MkdirAll(filepath.Join(p.lock(), "in the way"), 0o755))
		},
		"the first cannot be put in place":  func(t *testing.T, _ project) { failRename(t, 1) },
		"the second cannot be put in place": func(t *testing.T, _ project) { failRename(t, 2) },
		"the last cannot be put in place":   func(t *testing.T, _ project) { failRename(t, 4) },
	} {
		t.Run(name, func(t *testing.T) {
			p := small(t)
			obstruct(t, p)
			before := p.state(t)
			assert.Error(t, replace([]file{
				{p.description(), []byte("new")}, {filepath.Join(p.root, "there was none"), []byte("new")}, {p.generated(), []byte("new")}, {p.lock(), []byte("new")},
			}))
			assert.Equal(t, before, p.state(t))
		})
	}
}

// Two syncs at once, or an editor.
func TestAFileChangedMeanwhileIsNotOverwritten(t *testing.T) {
	p := small(t)
	require.NoError(t, os.WriteFile(p.description(), []byte("another's"), 0o644))
	before := p.state(t)
	assert.ErrorContains(t, p.put(current(t), []file{{p.description(), []byte("new")}}), "in the meantime")
	assert.Equal(t, before, p.state(t))
	assert.NoError(t, p.put([]byte("another's"), []file{{p.description(), []byte("new")}}))
}

// A sync that was killed while it wrote has left the description and its lock apart. The next one
// does not take the lock's word.
func TestASyncIsNotFooledByALockOfAnotherDescription(t *testing.T) {
	p := small(t)
	require.NoError(t, os.WriteFile(p.description(), append([]byte("# Edited.\n"), current(t)...), 0o644))
	printed, err := p.taken(t, current(t))
	assert.Error(t, err, "nothing can be built there")
	assert.NotContains(t, printed, "Nothing has changed")
}

func TestATrialDoesNotWriteThroughASymlink(t *testing.T) {
	p := small(t)
	elsewhere := filepath.Join(t.TempDir(), "elsewhere.yaml")
	require.NoError(t, os.Rename(p.description(), elsewhere))
	if err := os.Symlink(elsewhere, p.description()); err != nil {
		t.Skip(err)
	}
	beside := project{t.TempDir()}
	require.NoError(t, p.copyTo(beside.root))
	require.NoError(t, os.WriteFile(beside.description(), []byte("new"), 0o644))
	text, err := os.ReadFile(elsewhere)
	require.NoError(t, err)
	assert.Equal(t, string(current(t)), string(text))
}
