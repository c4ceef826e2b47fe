// Package webhook receives the events that ConnectPSP posts to the webhookUrl of a cash-in or a
// cash-out.
//
// NewHandler and NewWorker are a whole receiver: the Handler verifies deliveries and keeps them in
// an Inbox before it answers, and the Worker calls your function, once for every step of a
// transaction. Most programs want this:
//
//	handler, err := webhook.NewHandler(inbox, config.CryptoToken)
//	http.Handle("/webhooks/connectpsp", handler)
//	worker := webhook.NewWorker(inbox, client, func(ctx context.Context, step webhook.Transition) error { … })
//	go worker.Run(ctx)
//
// # Without an Inbox
//
// Parse verifies and reads one delivery. It cannot tell an old delivery from a new one:
// the signature covers the body and nothing else, there is no timestamp in it. A body that was once
// signed verifies for ever, whoever sends it again. The gateway repeats deliveries by itself too,
// promises no order, and gives every attempt another X-Event-Id. So the receiver must keep the Key
// of each event, for as long as it keeps the order that the event belongs to, and act on a key only
// once. Nothing else stops a replay.
//
// The gateway wants status 200 within 5 seconds and tries again otherwise. Store the event, answer,
// and do the work afterwards. Before giving out money or goods, compare ExternalReference and
// Amount with the order's own.
package webhook
