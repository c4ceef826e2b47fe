package sandbox

import (
	"fmt"
	"net/http"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// bankName names the sandbox's only bank.
const bankName = "Banco Sandbox S.A."

// Balances returns the balances of the transactional and the proprietary account.
func (s *Sandbox) Balances() (transactional, proprietary pix.Amount) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return pix.Centavos(s.transactional), pix.Centavos(s.proprietary)
}

// SetBalances sets the balances of the transactional and the proprietary account, such as to make
// the next payment fail with INSUFFICIENT_FUNDS. The error wraps [ErrInvalid] unless both are from
// R$ 0.00 to R$ 9,999,999,999.99.
func (s *Sandbox) SetBalances(transactional, proprietary pix.Amount) error {
	if !isBalance(transactional) || !isBalance(proprietary) {
		return fmt.Errorf("%w: a balance must be from R$ 0.00 to R$ 9,999,999,999.99", ErrInvalid)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.transactional, s.proprietary = transactional.Centavos(), proprietary.Centavos()
	s.balanceUpdatedAt = s.Now()
	return nil
}

func isBalance(amount pix.Amount) bool {
	return amount.Centavos() >= 0 && amount.Centavos() <= largestAmount
}

// addTransactionalLocked adds centavos to the transactional account.
func (s *Sandbox) addTransactionalLocked(centavos int64) {
	s.transactional += centavos
	s.balanceUpdatedAt = s.Now()
}

// spendLocked takes an amount from the transactional account, or returns INSUFFICIENT_FUNDS.
func (s *Sandbox) spendLocked(amount pix.Amount) error {
	if amount.Centavos() > s.transactional {
		return insufficientFunds(amount, pix.Centavos(s.transactional))
	}
	s.addTransactionalLocked(-amount.Centavos())
	return nil
}

func (s *Sandbox) getBalance(req request) (any, error) {
	if req.query.Has("date") {
		// Past balances are not available, as in production; the parameter is only checked.
		if _, err := time.Parse(time.DateOnly, req.query.Get("date")); err != nil {
			return nil, invalidRequest("date must be a date, YYYY-MM-DD.")
		}
	}
	transactional, proprietary := pix.Centavos(s.transactional), pix.Centavos(s.proprietary)
	return connectpsp.Balance{
		Currency:      "BRL",
		ReferenceDate: s.clock.now().In(brasilia).Format(time.DateOnly),
		Consolidated: connectpsp.ConsolidatedBalance{
			TotalBalance:         pix.Centavos(s.transactional + s.proprietary),
			TransactionalBalance: transactional,
			ProprietaryBalance:   proprietary,
		},
		Banks: []connectpsp.BankBalance{{
			ISPB: ispb,
			Bank: bankName,
			Accounts: connectpsp.BankAccounts{
				Transactional: connectpsp.AccountBalance{Branch: "0001", Account: "123456", Balance: transactional},
				Proprietary:   connectpsp.AccountBalance{Branch: "0001", Account: "654321", Balance: proprietary},
			},
		}},
		UpdatedAt: pix.Time{Time: s.balanceUpdatedAt.Truncate(time.Second)},
	}, nil
}

func (s *Sandbox) rebalanceAccount(req request) (any, error) {
	target := req.body.amount("targetAmount", pix.Centavos(0))
	if err := req.body.err(); err != nil {
		return nil, err
	}
	total := s.transactional + s.proprietary
	if target.Centavos() > total {
		return nil, insufficientFunds(target, pix.Centavos(total))
	}
	s.addTransactionalLocked(target.Centavos() - s.transactional)
	s.proprietary = total - s.transactional
	return connectpsp.Rebalance{
		Success: true,
		Message: "The transactional balance is R$ " + target.String() + ".",
	}, nil
}

func insufficientFunds(wanted, available pix.Amount) error {
	return refuse(http.StatusUnprocessableEntity, "INSUFFICIENT_FUNDS",
		"The requested amount of R$ %v exceeds the available balance of R$ %v.", wanted, available)
}
