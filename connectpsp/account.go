package connectpsp

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/internal/api"
	"github.com/connectpsp/connectpsp-go/pix"
)

// GetBalance reads the balances. Amounts are passed on as sent; they are not added up or compared.
// Its error is an [*APIError] with the gateway's refusal, or says that no readable answer came; an
// amount that cannot be read is an error, never zero, and so is an answer without one of the three
// consolidated ones. GET /account/balance.
func (c *Client) GetBalance(ctx context.Context, options ...CallOption) (*Balance, error) {
	call, err := c.prepare(ctx, call{operation: api.GetBalance}, nil, nil, options)
	if err != nil {
		return nil, err
	}
	call.send = sendGetBalance
	return run(ctx, c, call, checkBalance)
}

func sendGetBalance(ctx context.Context, raw *gen.Client, _ *call, _ io.Reader, edit gen.RequestEditorFn) (*http.Response, error) {
	return raw.GetBalance(ctx, edit)
}

func checkBalance(_ *call, _ *Balance, body []byte) (string, error) {
	var stated struct {
		Consolidated struct {
			Total         *pix.Amount `json:"totalBalance"`
			Transactional *pix.Amount `json:"transactionalBalance"`
			Proprietary   *pix.Amount `json:"proprietaryBalance"`
		} `json:"consolidated"`
	}
	err := json.Unmarshal(body, &stated)
	if totals := stated.Consolidated; err != nil || totals.Total == nil || totals.Transactional == nil || totals.Proprietary == nil {
		return "", errNoBalance
	}
	return "", nil
}

// RebalanceAccount sets the transactional balance to target, which may be zero: the gateway tops it
// up from the proprietary account or sweeps the excess back. Setting it twice ends in the same
// state, but a late request for an older target would undo a newer one, so calls of one client are
// made one after the other and each waits for its turn.
//
// Its error is a [*ValidationError] (nothing was sent), an [*APIError] (rejected for certain, also
// if the gateway answers that it did not succeed) or an [*UnknownOutcomeError]: read the balance,
// then set the target again. POST /account/rebalance, signed. It takes no idempotency key.
func (c *Client) RebalanceAccount(ctx context.Context, target pix.Amount, options ...CallOption) (rebalance *Rebalance, err error) {
	defer c.logUnknown(ctx, &err)
	call, err := c.prepare(ctx, call{operation: api.RebalanceAccount, amount: target}, rebalanceRequest{TargetAmount: target}, checkRebalance(target), options)
	if err != nil {
		return nil, err
	}
	call.send = sendRebalance
	select {
	case c.rebalances <- struct{}{}:
		defer func() { <-c.rebalances }()
	case <-ctx.Done():
		// The attempt finds it ended too, sends nothing and says so.
	}
	return run(ctx, c, call, checkRebalanced)
}

func sendRebalance(ctx context.Context, raw *gen.Client, _ *call, body io.Reader, edit gen.RequestEditorFn) (*http.Response, error) {
	return raw.RebalanceAccountWithBody(ctx, contentType, body, edit)
}

func checkRebalanced(_ *call, rebalance *Rebalance, body []byte) (string, error) {
	if rebalance.Success {
		return "", nil
	}
	var stated struct {
		Success *bool `json:"success"`
	}
	if err := json.Unmarshal(body, &stated); err != nil || stated.Success == nil {
		return "", errNoSuccess
	}
	return "", &declinedError{rebalance.Message}
}
