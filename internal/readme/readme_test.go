package readme

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestEverySnippetCompiles(t *testing.T) {
	programs, faults := programs(pages(t, tree))
	assert.Empty(t, faults)
	built, faults := compile(t, programs)
	assert.Empty(t, faults)
	assert.Empty(t, outputFaults(t, built, programs))
}

func TestBothLanguagesHaveTheSameHeadingsAndTheSameCode(t *testing.T) {
	assert.Empty(t, twinFaults(pages(t, tree)))
}

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	assert.Empty(t, linkFaults(t, tree, pages(t, tree)))
}

func TestEveryBlockOfCodeIsInALanguageThatIsChecked(t *testing.T) {
	assert.Empty(t, fenceFaults(t, pages(t, tree)))
}

func TestEveryCommandTargetAndTestThatAPageNamesIsThere(t *testing.T) {
	assert.Empty(t, nameFaults(namesOf(t, tree), pages(t, tree)))
}
