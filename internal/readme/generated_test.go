package readme

import (
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

var write = flag.Bool("docs.write", false, "write the generated pages, in place of comparing them")

func TestTheGeneratedPagesAreWhatTheCodeSays(t *testing.T) {
	generated := errorPages(t)
	for name, text := range generated {
		if *write {
			require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o644))
		}
	}
	report(t, staleFaults(tree, generated))
}

// staleFaults compares generated pages with those of a tree.
func staleFaults(tree fs.FS, generated map[string]string) (faults []string) {
	for name := range maps.Keys(generated) {
		if text, err := fs.ReadFile(tree, name); err != nil || string(text) != generated[name] {
			faults = append(faults, name+" is not what make docs writes")
		}
	}
	return faults
}
