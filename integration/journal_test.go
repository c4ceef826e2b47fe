package integration

import (
	"database/sql"
	"testing"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/connectpsp/journaltest"
)

func TestAJournalInADatabaseKeepsThePromisesOfAJournal(t *testing.T) {
	onServers(t, func(t *testing.T, s server, _ *sql.DB) {
		journaltest.Run(t, func(t *testing.T) connectpsp.Journal { return openStore(t, s, s.open(t)).Journal() })
	})
}

// Each process has a Store of its own.
func TestAJournalInADatabaseIsSharedByProcesses(t *testing.T) {
	onServers(t, func(t *testing.T, s server, _ *sql.DB) {
		journaltest.RunShared(t, func(t *testing.T) journaltest.Shared {
			db := s.open(t)
			return journaltest.Shared{
				Open:   func() connectpsp.Journal { return openStore(t, s, db).Journal() },
				Expire: func() { execute(t, db, `UPDATE connectpsp_payment SET leased_until = 0`) },
			}
		})
	})
}
