package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

func (a *app) balance() *cobra.Command {
	return leaf("balance", "Read the balances", "balance", func(ctx context.Context, _ []string) error {
		client, err := a.reader()
		if err != nil {
			return err
		}
		b, err := client.GetBalance(ctx)
		if err != nil {
			return unread("balance", err)
		}
		rows := []row{
			{"transactional", b.Consolidated.TransactionalBalance.BRL()},
			{"proprietary", b.Consolidated.ProprietaryBalance.BRL()},
			{"total", b.Consolidated.TotalBalance.BRL()},
		}
		for _, bank := range b.Banks {
			rows = append(rows, row{joined("bank", bank.ISPB, bank.Bank), "transactional " + bank.Accounts.Transactional.Balance.BRL() +
				", proprietary " + bank.Accounts.Proprietary.Balance.BRL()})
		}
		rows = append(rows, row{"day", b.ReferenceDate}, row{"updated", timeOf(b.UpdatedAt.Time)})
		return a.print(balanceResult{maskBalance(*b)}, rows...)
	})
}

// balanceResult is the JSON of the balances.
type balanceResult struct {
	Balance connectpsp.Balance `json:"balance"`
}

func (a *app) rebalance() *cobra.Command {
	var text string
	var yes bool
	var journal journalFlags
	command := leaf("rebalance", "Set the transactional balance, from the proprietary account or back to it",
		"rebalance --target 250000.00", func(ctx context.Context, _ []string) error { return a.setBalance(ctx, text, yes, &journal) })
	command.Flags().StringVar(&text, "target", "", "the transactional balance in `REAIS`, such as 250000.00")
	addYes(command, &yes)
	journal.add(command)
	return required(command, "target")
}

func (a *app) setBalance(ctx context.Context, text string, yes bool, journal *journalFlags) error {
	target, err := parseAmount("--target", text)
	if err != nil {
		return err
	}
	g, err := a.gateway()
	if err != nil {
		return err
	}
	if err := a.mayConfirm(yes); err != nil {
		return err
	}
	err = a.confirm(ctx, yes, "Set the transactional balance?", row{"target", target.BRL()}, row{"gateway", g.String()})
	if err != nil {
		return err
	}
	words := []string{"rebalance", "--target", target.String()}
	if yes {
		words = append(words, "--yes")
	}
	s, err := a.openSession(ctx, g, journal, task{words: words})
	if err != nil {
		return err
	}
	defer s.close(a)
	rebalance, err := s.RebalanceAccount(ctx, target)
	if err != nil {
		return a.unsettled(err, journal, words...)
	}
	return a.print(rebalanceResult{"accepted", rebalance.Success, s.settled}, row{"outcome", "accepted"}, row{"target", target.BRL()})
}

// rebalanceResult is the JSON of a rebalance.
type rebalanceResult struct {
	Outcome   string      `json:"outcome"`
	Success   bool        `json:"success"`
	Recovered []recovered `json:"recovered,omitzero"`
}
