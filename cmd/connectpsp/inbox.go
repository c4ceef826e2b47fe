package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/connectpsp/connectpsp-go/sqlstore"
)

func (a *app) inbox() *cobra.Command {
	return family("inbox", "Look after the events that are held for manual review", "inbox list",
		a.inboxList(), a.inboxRetry(), a.inboxDismiss())
}

// withInbox opens the inbox of DATABASE_URL, and calls do with it.
func (a *app) withInbox(ctx context.Context, namespace string, do func(*sqlstore.Inbox) error) error {
	store, db, err := a.openStore(ctx, namespace)
	if err != nil {
		return err
	}
	return errors.Join(do(store.Inbox()), db.Close())
}

func addNamespace(command *cobra.Command, namespace *string) {
	command.Flags().StringVar(namespace, "namespace", "", "the `NAME` of the integration in the database")
}

// heldItem is an item of an inbox as JSON. The body is left out: it is personal data.
type heldItem struct {
	Key         string    `json:"key"`
	Transaction string    `json:"transaction,omitzero"`
	ReceivedAt  time.Time `json:"receivedAt"`
	DeliveryID  string    `json:"deliveryId,omitzero"`
	Reason      string    `json:"reason"`
}

// heldResult is the JSON of inbox list.
type heldResult struct {
	Held []heldItem `json:"held"`
}

func (a *app) inboxList() *cobra.Command {
	var namespace string
	var limit int
	command := leaf("list", "List the events that are held, oldest first", "inbox list --limit 20", func(ctx context.Context, _ []string) error {
		if limit < 1 {
			return usage("--limit must be at least 1")
		}
		return a.withInbox(ctx, namespace, func(inbox *sqlstore.Inbox) error { return a.listHeld(ctx, inbox, limit) })
	})
	command.Long = `List the events of the inbox in DATABASE_URL that are held for manual review, the dead letters:
oldest first, each with the reason. DATABASE_URL is postgres://… or sqlite:FILE.`
	command.Flags().IntVar(&limit, "limit", 100, "how many are listed at most")
	addNamespace(command, &namespace)
	return command
}

func (a *app) listHeld(ctx context.Context, inbox *sqlstore.Inbox, limit int) error {
	items, err := inbox.Held(ctx, limit)
	if err != nil {
		return err
	}
	result := heldResult{Held: []heldItem{}}
	var lines [][]string
	for _, item := range items {
		result.Held = append(result.Held, heldItem{item.Key, item.Transaction, item.ReceivedAt, item.DeliveryID, item.Held})
		lines = append(lines, []string{timeOf(item.ReceivedAt), item.Key, item.Held})
	}
	switch {
	case a.json:
		return a.printJSON(result)
	case len(items) == 0:
		return printRows(a.stdout, []row{{"held", "nothing"}})
	default:
		return printTable(a.stdout, []string{"RECEIVED", "KEY", "REASON"}, lines)
	}
}

// changedResult is the JSON of commands that change one item.
type changedResult struct {
	Key    string `json:"key"`
	Result string `json:"result"`
}

// errNotHeld says that a key is wrong, or that another operator was faster.
var errNotHeld = errors.New("the inbox holds no event with this key: it was retried or dismissed before, or the key or the namespace is wrong")

func (a *app) inboxRetry() *cobra.Command {
	var namespace string
	command := leaf("retry KEY", "Process a held event again", "inbox retry CASHIN_PAID/kk6g232xel65a0daee4dd13kk2912714964/",
		func(ctx context.Context, args []string) error {
			return a.withInbox(ctx, namespace, func(inbox *sqlstore.Inbox) error {
				held, err := inbox.Retry(ctx, args[0])
				if err == nil && !held {
					err = errNotHeld
				}
				if err != nil {
					return err
				}
				return a.print(changedResult{args[0], "retried"}, row{"retried", args[0]}, row{"", "a Worker of the service processes it now"})
			})
		})
	addNamespace(command, &namespace)
	return command
}

func (a *app) inboxDismiss() *cobra.Command {
	var namespace string
	var yes bool
	command := leaf("dismiss KEY", "End a held event without any effect", "inbox dismiss CASHIN_PAID/kk6g232xel65a0daee4dd13kk2912714964/",
		func(ctx context.Context, args []string) error {
			if err := a.mayConfirm(yes); err != nil {
				return err
			}
			return a.withInbox(ctx, namespace, func(inbox *sqlstore.Inbox) error {
				if err := a.confirm(ctx, yes, "Dismiss this event? The service will not act on it.", row{"event", args[0]}); err != nil {
					return err
				}
				held, err := inbox.Dismiss(ctx, args[0])
				if err == nil && !held {
					err = errNotHeld
				}
				if err != nil {
					return err
				}
				return a.print(changedResult{args[0], "dismissed"}, row{"dismissed", args[0]})
			})
		})
	addYes(command, &yes)
	addNamespace(command, &namespace)
	return command
}
