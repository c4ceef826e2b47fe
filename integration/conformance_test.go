package integration

import (
	"database/sql"
	"testing"

	"github.com/connectpsp/connectpsp-go/webhook"
	"github.com/connectpsp/connectpsp-go/webhook/inboxtest"
)

func TestAnInboxInADatabaseKeepsThePromisesOfAnInbox(t *testing.T) {
	onServers(t, func(t *testing.T, s server, _ *sql.DB) {
		inboxtest.Run(t, func(t *testing.T) webhook.Inbox { return openInbox(t, s, s.open(t)) })
	})
}
