package contract

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// Facts says for each member of a body how certain it is, by openapi/SOURCE.md: published, seen in
// an example, or assumed.
type Facts map[string]map[string]string

var inBackquotes = regexp.MustCompile("`([^`]+)`")

// ReadFacts reads the table "body | published | seen | assumed" of openapi/SOURCE.md. The error
// says that there is none.
func ReadFacts(file string) (Facts, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	facts, columns := Facts{}, []string(nil)
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case slices.Equal(cells, []string{"body", "published", "seen", "assumed"}):
			columns = cells
		case columns == nil || len(cells) != len(columns):
			columns = nil
		case !strings.HasPrefix(cells[0], "-"):
			members := map[string]string{}
			for i, cell := range cells[1:] {
				for _, name := range inBackquotes.FindAllStringSubmatch(cell, -1) {
					members[name[1]] = columns[i+1]
				}
			}
			facts[strings.ReplaceAll(cells[0], "`", "")] = members
		}
	}
	if len(facts) == 0 {
		return nil, fmt.Errorf("contract: %s has no table of what is published", file)
	}
	return facts, nil
}

// sure returns how certain a member of a body is. A member that the table does not list is assumed.
// The data of an event has the members of a read.
func (f Facts) sure(where, path string) string {
	if about, isEvent := strings.CutPrefix(where, "event about a "); isEvent {
		if inData, found := strings.CutPrefix(path, "data."); found {
			return f.sure("GET /"+about+"/{id} response", inData)
		}
		where = "event"
	}
	if sure, found := f[where][path]; found {
		return sure
	}
	return "assumed"
}
