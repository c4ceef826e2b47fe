// Package webhook receives the events that ConnectPSP posts to the webhookUrl of a cash-in or a
// cash-out.
//
// [NewHandler] and [NewWorker] make a complete receiver. The [Handler] verifies each delivery and
// stores it in an [Inbox] before it responds. The [Worker] calls your function once for every step
// of a transaction. Most programs want this:
//
//	handler, err := webhook.NewHandler(inbox, config.CryptoToken)
//	http.Handle("/webhooks/connectpsp", handler)
//	worker := webhook.NewWorker(inbox, client,
//		func(ctx context.Context, step webhook.Transition) error { … })
//	go worker.Run(ctx)
//
// An Inbox is in memory, see [NewMemoryInbox], or in a database, see package [sqlstore]. It
// deduplicates events by [Event.Key]. The Worker is a state machine for each transaction:
// statuses only move up, so an event that is out of order, repeated or replayed changes nothing. An
// event that cannot be processed is held for manual review: the Inbox keeps it as a dead letter
// until you retry or dismiss it.
//
// [WithPayerCheck] compares who paid a charge with who may, and [WithPayerRefund] returns what
// another person paid. A return of a charge that you did not request is marked, see Unrequested of
// [Transition].
//
// # Without an Inbox
//
// [Parse] verifies and decodes one delivery. It cannot tell an old delivery from a new one: the
// signature covers the body only, and the body has no timestamp of the delivery. A body that was
// signed once verifies for ever, no matter who sends it again. The gateway repeats deliveries too,
// promises no order, and gives every attempt another X-Event-Id. So the receiver must store the
// [Event.Key] of each event for as long as it stores the order, and act on each key only once. No
// other check stops a replay.
//
// The gateway wants status 200 within 5 seconds and tries again otherwise. Store the event,
// respond, and do the work afterwards. Before you release money or goods, compare ExternalReference
// and Amount with those of the order.
//
// [sqlstore]: https://pkg.go.dev/github.com/connectpsp/connectpsp-go/sqlstore
package webhook
