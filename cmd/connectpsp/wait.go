package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

func (a *app) wait() *cobra.Command {
	command := family("wait", "Wait until a charge or a payment has ended", "wait cash-out 0b0c5c8e-6d3f-4a55-9d55-0f6c1c5a8a0e",
		a.waitCommand("cash-in ID", "Wait until a charge is paid", "wait cash-in kk6g232xel65a0daee4dd13kk2912714964",
			func(ctx context.Context, client *connectpsp.Client, id string) error {
				charge, err := client.WaitCashIn(ctx, id)
				if err != nil {
					return err
				}
				return a.ended(a.printCashIn(charge, "", nil), "charge", string(charge.Status), charge.Status == connectpsp.CashInPaid)
			}),
		a.waitCommand("cash-out ID", "Wait until a payment has completed", "wait cash-out 0b0c5c8e-6d3f-4a55-9d55-0f6c1c5a8a0e",
			func(ctx context.Context, client *connectpsp.Client, id string) error {
				payment, err := client.WaitCashOut(ctx, id)
				if err != nil {
					return err
				}
				return a.ended(a.printCashOut(payment, "", nil), "payment", string(payment.Status), payment.Status == connectpsp.CashOutCompleted)
			}))
	command.Long = `Wait until a charge or a payment has ended.

The exit status is 0 if it was paid or completed, 3 if it ended in another way, and 1 if it has not
ended when the time is up.`
	return command
}

func (a *app) waitCommand(use, short, example string, wait func(context.Context, *connectpsp.Client, string) error) *cobra.Command {
	var timeout time.Duration
	command := leaf(use, short, example, func(ctx context.Context, args []string) error {
		client, err := a.reader()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		err = wait(ctx, client, args[0])
		if err != nil && ctx.Err() != nil {
			err = errors.New(err.Error()) // also if the last read was not sent
		}
		return err
	})
	command.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "give up after this `DURATION`, such as 90s")
	return command
}

// ended returns the error of a transaction that has ended and was printed.
func (a *app) ended(err error, what, status string, good bool) error {
	if err != nil || good {
		return err
	}
	return &rejectedError{fmt.Errorf("the %s ended as %s", what, status)}
}
