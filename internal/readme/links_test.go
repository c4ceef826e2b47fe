package readme

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	links    = regexp.MustCompile(`\]\(([^)\s]+)(?:\s+"[^"]*")?\)|(?m:^\[[^\]]+\]:\s+(\S+))|(?:href|src)="([^"]+)"`)
	anchors  = regexp.MustCompile(`<a (?:id|name)="([^"]+)"`)
	codeDocs = regexp.MustCompile(`\bdocs/[A-Za-z0-9/_-]+\.md(?:#[\p{L}\p{N}_-]+)?`)
)

// here is the beginning of a link to a file of this repository on GitHub.
const here = "https://github.com/connectpsp/connectpsp-go/blob/main/"

// linkFaults follows the links of pages to files and headings of the tree, and the pages that
// comments of Go code and the alerts name.
func linkFaults(t *testing.T, tree fs.FS, pages []*page) (faults []string) {
	targets := map[string]map[string]bool{}
	for _, p := range pages {
		targets[p.path] = map[string]bool{}
		for _, heading := range p.headings {
			targets[p.path][heading.anchor] = true
		}
		for _, match := range anchors.FindAllStringSubmatch(p.prose, -1) {
			targets[p.path][match[1]] = true
		}
	}
	follow := func(from, to, link string) {
		file, anchor, _ := strings.Cut(to, "#")
		if file == "" {
			file = from
		}
		if _, err := fs.Stat(tree, file); err != nil {
			faults = append(faults, fmt.Sprintf("%s: there is no file for the link %s", from, link))
		} else if anchor != "" && !targets[file][anchor] {
			faults = append(faults, fmt.Sprintf("%s: there is no heading for the link %s", from, link))
		}
	}
	for _, p := range pages {
		for _, match := range links.FindAllStringSubmatch(p.prose, -1) {
			link := match[1] + match[2] + match[3]
			to, absolute := strings.CutPrefix(link, here)
			switch {
			case absolute, strings.HasPrefix(link, "#"):
				follow(p.path, to, link)
			case !strings.Contains(link, ":"):
				follow(p.path, path.Join(path.Dir(p.path), link), link)
			}
		}
	}
	for _, extension := range []string{".go", ".yaml"} {
		for _, file := range files(t, tree, extension) {
			if strings.HasPrefix(file, "internal/readme/") {
				continue // its tests name pages that are not there
			}
			code, err := fs.ReadFile(tree, file)
			require.NoError(t, err)
			for _, link := range codeDocs.FindAllString(string(code), -1) {
				follow(file, link, link)
			}
		}
	}
	return faults
}
