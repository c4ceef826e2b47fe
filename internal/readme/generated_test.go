package readme

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var write = flag.Bool("docs.write", false, "write the generated pages, in place of comparing them")

func TestTheGeneratedPagesAreWhatTheCodeSays(t *testing.T) {
	generated := errorPages(t)
	generated["llms.txt"] = llms(t, tree)
	if *write {
		for name, text := range generated {
			require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o644))
		}
	}
	report(t, staleFaults(tree, generated), codeFaults(t, codes))
}

// staleFaults compares generated pages with those of a tree.
func staleFaults(tree fs.FS, generated map[string]string) (faults []string) {
	for _, name := range slices.Sorted(maps.Keys(generated)) {
		if text, err := fs.ReadFile(tree, name); err != nil || string(text) != generated[name] {
			faults = append(faults, name+" is stale: run make docs")
		}
	}
	return faults
}

func TestTheIndexNamesEveryPage(t *testing.T) {
	report(t, indexFaults(pages(t, tree)))
}

// indexFaults returns the pages of docs that the index of their language does not link to.
func indexFaults(pages []*page) (faults []string) {
	for _, index := range pages {
		for _, p := range pages {
			own := path.Dir(p.path) == path.Dir(index.path) || slices.Contains(englishOnly, p.path)
			link, _ := filepath.Rel(path.Dir(index.path), p.path)
			if path.Base(index.path) == "index.md" && own && p != index && !strings.Contains(index.prose, "]("+link+")") {
				faults = append(faults, fmt.Sprintf("%s has no link to %s", index.path, p.path))
			}
		}
	}
	return faults
}

// plain is where the pages are as plain Markdown.
const plain = "https://raw.githubusercontent.com/connectpsp/connectpsp-go/main/"

var listed = regexp.MustCompile(`(?m)^- \[([^]]+)\]\(([^)]+)\): ((?:.+\n  )*.+)$`)

// llms returns the text of llms.txt, as llmstxt.org describes it: the two indexes, with a link to
// the Markdown of each page.
func llms(t *testing.T, tree fs.FS) string {
	text := "# ConnectPSP for Go\n\n> A Go SDK for the ConnectPSP API: receive and send PIX, refund, and verify webhooks, unattended. " +
		"A call that moves money ends as accepted, rejected for certain or unknown; after an unknown outcome call again with the same " +
		"request, and never pay under another reference.\n"
	for _, index := range []struct{ path, language string }{{"docs/index.md", ""}, {"docs/pt-BR/index.md", " (português)"}} {
		page, err := fs.ReadFile(tree, index.path)
		require.NoError(t, err)
		for _, section := range strings.Split(string(page), "\n## ")[1:] {
			title, list, _ := strings.Cut(section, "\n")
			text += "\n## " + title + index.language + "\n\n"
			for _, link := range listed.FindAllStringSubmatch(list, -1) {
				address := link[2]
				if !strings.Contains(address, "://") {
					address = plain + path.Join(path.Dir(index.path), address)
				}
				text += fmt.Sprintf("- [%s](%s): %s\n", link[1], address, strings.ReplaceAll(link[3], "\n  ", " "))
			}
		}
	}
	return text
}
