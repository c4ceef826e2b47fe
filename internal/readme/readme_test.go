package readme

import "testing"

func TestEverySnippetCompiles(t *testing.T) {
	programs, faults := programs(pages(t, tree))
	built, more := compile(t, programs)
	report(t, faults, more, outputFaults(t, built, programs))
}

func TestBothLanguagesHaveTheSameHeadingsAndTheSameCode(t *testing.T) {
	report(t, twinFaults(pages(t, tree)))
}

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	report(t, linkFaults(t, tree, pages(t, tree)))
}

func TestEveryBlockOfCodeIsInALanguageThatIsChecked(t *testing.T) {
	report(t, fenceFaults(t, pages(t, tree)))
}

func TestEveryNameOnAPageIsOfSomethingThatIsThere(t *testing.T) {
	report(t, nameFaults(namesOf(t, tree), pages(t, tree)))
}

func report(t *testing.T, faults ...[]string) {
	t.Helper()
	for _, some := range faults {
		for _, fault := range some {
			t.Error(fault)
		}
	}
}
