package webhook_test

import (
	"testing"

	"github.com/connectpsp/connectpsp-go/webhook"
	"github.com/connectpsp/connectpsp-go/webhook/inboxtest"
)

func TestAMemoryInboxKeepsThePromisesOfAnInbox(t *testing.T) {
	inboxtest.Run(t, func(*testing.T) webhook.Inbox { return webhook.NewMemoryInbox() })
}
