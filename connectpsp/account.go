package connectpsp

import (
	"context"

	"github.com/connectpsp/connectpsp-go/pix"
)

// Balance holds the balances of your accounts, as [Client.GetBalance] read them. Nothing is added
// up or compared. It prints without the accounts.
type Balance struct {
	// Currency is BRL.
	Currency string `json:"currency"`

	// ReferenceDate is the day of the balances as YYYY-MM-DD. Its time zone is not published.
	ReferenceDate string `json:"referenceDate"`

	// Consolidated holds the totals. They need not be the sums of Banks.
	Consolidated ConsolidatedBalance `json:"consolidated"`

	// Banks holds the balances at each bank.
	Banks []BankBalance `json:"banks"`

	// UpdatedAt is when the balances were right, with the UTC offset that the gateway sent.
	UpdatedAt pix.Time `json:"updatedAt"`
}

// ConsolidatedBalance holds the totals over all banks, in BRL.
type ConsolidatedBalance struct {
	// TotalBalance is all of it.
	TotalBalance pix.Amount `json:"totalBalance"`

	// TransactionalBalance is the balance that payments are made from: the wallets of your users,
	// and operations in flight.
	TransactionalBalance pix.Amount `json:"transactionalBalance"`

	// ProprietaryBalance is your own money.
	ProprietaryBalance pix.Amount `json:"proprietaryBalance"`
}

// BankBalance holds the balances at one bank. It prints without the accounts.
type BankBalance struct {
	// ISPB names the bank by its eight digits; leading zeros count.
	ISPB string `json:"ispb"`

	// Bank is the name of the bank.
	Bank string `json:"bank"`

	// Accounts holds your two accounts at the bank.
	Accounts BankAccounts `json:"accounts"`
}

// BankAccounts holds your two accounts at one bank. It prints without their numbers.
type BankAccounts struct {
	// Transactional is the account that payments are made from.
	Transactional AccountBalance `json:"transactional"`

	// Proprietary is the account with your own money.
	Proprietary AccountBalance `json:"proprietary"`
}

// AccountBalance is one of your accounts and its balance. It prints without the account.
type AccountBalance struct {
	// Branch is the number of the branch; leading zeros count.
	Branch string `json:"branch"`

	// Account is the number of the account; leading zeros count.
	Account string `json:"account"`

	// Balance is the balance of the account, in BRL.
	Balance pix.Amount `json:"balance"`
}

// rebalanceRequest is the body of [Client.RebalanceAccount].
type rebalanceRequest struct {
	TargetAmount pix.Amount `json:"targetAmount"`
}

// Rebalance says that the gateway has set the transactional balance; see [Client.RebalanceAccount].
// It prints without the message.
type Rebalance struct {
	// Success is true: a response that says false is an error.
	Success bool `json:"success"`

	// Message says so in the gateway's words. It may be empty.
	Message string `json:"message,omitzero"`
}

// GetBalance reads the balances. Amounts are passed on as sent; they are not added up or compared.
// Its error is an [*APIError] with the gateway's refusal, or says that no readable response came; an
// amount that cannot be read is an error, never zero, and so is a response without one of the three
// consolidated ones. GET /account/balance.
func (c *Client) GetBalance(ctx context.Context, options ...CallOption) (*Balance, error) {
	return do(ctx, c, getBalance, Intent{}, nil, nil, options)
}

// RebalanceAccount sets the transactional balance to target, which may be zero: the gateway tops it
// up from the proprietary account or sweeps the excess back. Setting it twice ends in the same
// state, but a late request for an older target would undo a newer one, so calls of one client are
// made one after the other and each waits for its turn.
//
// Its error is a [*ValidationError] (nothing was sent), an [*APIError] (rejected for certain, also
// if the gateway responds that it did not succeed) or an [*UnknownOutcomeError]: read the balance,
// then set the target again. POST /account/rebalance, signed. It takes no idempotency key.
func (c *Client) RebalanceAccount(ctx context.Context, target pix.Amount, options ...CallOption) (rebalance *Rebalance, err error) {
	ctx, observed := c.beginCall(ctx, Call{Operation: OperationRebalanceAccount})
	var call *call
	defer func() { c.endCall(ctx, observed, call, rebalance != nil, err) }()
	request, faults := rebalanceRequest{target}, checkRebalance(target)
	call, err = c.prepare(ctx, rebalanceAccount.Operation, Intent{Amount: target}, request, faults, options)
	if err != nil {
		return nil, err
	}
	select {
	case c.rebalances <- struct{}{}:
		defer func() { <-c.rebalances }()
	case <-ctx.Done():
		// The attempt finds it ended too, sends nothing and says so.
	}
	return run(ctx, c, rebalanceAccount, call)
}
