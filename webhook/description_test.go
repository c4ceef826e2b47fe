package webhook

import (
	"testing"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/contract"
	"github.com/connectpsp/connectpsp-go/pix"
)

// body is what a webhook holds, before it becomes an [Event].
type body[T any] struct {
	EventType string   `json:"eventType"`
	EventAt   pix.Time `json:"eventAt"`
	Data      T        `json:"data"`
}

func TestTheEventsAreTheDescriptions(t *testing.T) {
	contract.Compare(t, nil, []contract.Webhook{
		{About: "cash-in", Types: []string{string(CashInPaid), string(CashInRefunded)}, Body: body[connectpsp.CashIn]{}},
		{
			About: "cash-out", Types: []string{string(CashOutCompleted), string(CashOutFailed), string(CashOutRefunded)},
			Body: body[connectpsp.CashOut]{},
		},
	})
}
