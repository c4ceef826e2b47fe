package connectpsp_test

import (
	"testing"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/connectpsp/journaltest"
)

func TestTheJournalInMemoryKeepsThePromisesOfAJournal(t *testing.T) {
	journaltest.Run(t, func(*testing.T) connectpsp.Journal { return connectpsp.NewMemoryJournal() })
}
