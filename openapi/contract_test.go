package openapi_test

import (
	"testing"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/api"
	"github.com/connectpsp/connectpsp-go/internal/contract"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// The bodies that no exported type has: those of POST /auth/token and of a rebalance, which
// packages auth and connectpsp write and read by themselves, and a refusal, which is in the fields
// of connectpsp.APIError and auth.Error.
type (
	tokenRequest struct {
		ClientID     string `json:"clientId"`
		ClientSecret string `json:"clientSecret"`
	}
	tokenResponse struct {
		AccessToken string   `json:"accessToken"`
		TokenType   string   `json:"tokenType"`
		ExpiresIn   int      `json:"expiresIn"`
		IssuedAt    pix.Time `json:"issuedAt,omitzero"`
	}
	rebalanceRequest struct {
		TargetAmount pix.Amount `json:"targetAmount"`
	}
	problem struct {
		Type   string               `json:"type,omitzero"`
		Title  string               `json:"title"`
		Status int                  `json:"status"`
		Code   connectpsp.ErrorCode `json:"code"`
		Detail string               `json:"detail,omitzero"`
	}
	event[T any] struct {
		EventType string   `json:"eventType"`
		EventAt   pix.Time `json:"eventAt"`
		Data      T        `json:"data"`
	}
)

var bodies = map[string]struct{ request, response any }{
	api.AuthToken.ID:        {tokenRequest{}, tokenResponse{}},
	api.CreateCashIn.ID:     {connectpsp.CashInRequest{}, connectpsp.CashIn{}},
	api.GetCashIn.ID:        {nil, connectpsp.CashIn{}},
	api.RefundCashIn.ID:     {connectpsp.RefundRequest{}, connectpsp.Refund{}},
	api.CreateCashOut.ID:    {connectpsp.CashOutRequest{}, connectpsp.CashOut{}},
	api.GetCashOut.ID:       {nil, connectpsp.CashOut{}},
	api.GetBalance.ID:       {nil, connectpsp.Balance{}},
	api.RebalanceAccount.ID: {rebalanceRequest{}, connectpsp.Rebalance{}},
}

// A description that has a field more or less, another value or another header says so here, and
// nowhere in the programs of users.
func TestTheOperationsTypesAndEventsOfTheSDKAreTheDescriptions(t *testing.T) {
	var traffic []contract.Traffic
	for _, op := range api.Operations {
		traffic = append(traffic, contract.Traffic{
			Operation: op.Method + " " + op.Path, Public: op.Public, Signed: op.Signed, Keyed: op.Keyed,
			Request: bodies[op.ID].request, Response: bodies[op.ID].response, Problem: problem{},
		})
	}
	contract.Compare(t, traffic, []contract.Webhook{
		{
			About: "cash-in", Types: []string{string(webhook.CashInPaid), string(webhook.CashInRefunded)},
			Body: event[connectpsp.CashIn]{},
		},
		{
			About: "cash-out", Types: []string{string(webhook.CashOutCompleted), string(webhook.CashOutFailed), string(webhook.CashOutRefunded)},
			Body: event[connectpsp.CashOut]{},
		},
	})
}
