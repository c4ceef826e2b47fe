// Package readme keeps the pages true: their code compiles and prints what they say, links lead
// somewhere, each command and test that they name exists, and the two languages say the same.
//
// It has tests only, and each check is a function of pages that returns the faults it finds. The
// tests run it on the pages of this repository and on pages with a planted fault. A new page is
// checked without an entry anywhere.
package readme

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// tree is the repository.
var tree = os.DirFS(root)

// page is a Markdown file.
type page struct {
	path     string // from the root, with slashes
	headings []heading
	fences   []fence
	prose    string   // the text without fences, with the content of code spans left out
	spans    []string // the code spans
	tasks    []string // the items of its checklists
}

type heading struct {
	level        int
	text, anchor string
}

// fence is a fenced block.
type fence struct {
	line       int // of its first line of text, from 1
	info, text string
}

// files returns the paths of the files with an extension. Hidden directories, and testdata, are
// left out.
func files(t *testing.T, tree fs.FS, extension string) (found []string) {
	require.NoError(t, fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata"):
			return fs.SkipDir
		case path.Ext(name) == extension:
			found = append(found, name)
		}
		return nil
	}))
	return found
}

// pages returns the Markdown files of a tree.
func pages(t *testing.T, tree fs.FS) (all []*page) {
	for _, name := range files(t, tree, ".md") {
		text, err := fs.ReadFile(tree, name)
		require.NoError(t, err)
		all = append(all, parse(name, string(text)))
	}
	require.NotEmpty(t, all)
	return all
}

var (
	fenceLine = regexp.MustCompile("^([ \t]*)(```+)[ \t]*([^`]*?)[ \t]*$")
	titleLine = regexp.MustCompile(`^(#{1,6}) +(.*?) *#*$`)
	codeSpan  = regexp.MustCompile("`[^`]+`")
	task      = regexp.MustCompile(`(?m)^- \[ \] .+\n(?:  .+\n)*`)
)

func parse(name, text string) *page {
	p := &page{path: name}
	var prose strings.Builder
	var open *fence
	indent, mark := "", ""
	seen := map[string]int{}
	for number, line := range strings.Split(text, "\n") {
		match := fenceLine.FindStringSubmatch(line)
		title := titleLine.FindStringSubmatch(line)
		switch {
		case open != nil && match != nil && match[2] == mark && match[3] == "":
			p.fences, open = append(p.fences, *open), nil
			line = ""
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
			line = ""
		case match != nil:
			open, indent, mark = &fence{line: number + 2, info: match[3]}, match[1], match[2]
			line = ""
		case title != nil:
			p.headings = append(p.headings, heading{len(title[1]), title[2], anchor(title[2], seen)})
		}
		prose.WriteString(line + "\n")
	}
	if open != nil { // it is a fault of its own, which the check of the fences reports
		p.fences = append(p.fences, fence{open.line, "unclosed", open.text})
	}
	p.tasks = task.FindAllString(prose.String(), -1)
	p.prose = codeSpan.ReplaceAllStringFunc(prose.String(), func(span string) string {
		p.spans = append(p.spans, strings.Join(strings.Fields(strings.Trim(span, "`")), " "))
		return "``"
	})
	return p
}

var linkInTitle = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)

// anchor returns the name that GitHub gives to a heading: lower case, without punctuation, with a
// hyphen for each space and a number if the page has it before.
func anchor(title string, seen map[string]int) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsNumber(r), unicode.IsMark(r), r == '-', r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, linkInTitle.ReplaceAllString(title, "$1"))
	n := seen[name]
	seen[name]++
	if n > 0 {
		name += "-" + strconv.Itoa(n)
	}
	return name
}
