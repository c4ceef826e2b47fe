// Package connectpsp is a client of the ConnectPSP API 2.0.0, a gateway for PIX: receive by QR code
// or OpenFinance (cash-in), send to a PIX key or a bank account (cash-out), refund, read balances,
// rebalance.
//
//	config, err := connectpsp.ConfigFromEnv()
//	client, err := connectpsp.New(config)
//	cashOut, err := client.CreateCashOut(ctx, connectpsp.CashOutRequest{
//		Amount:            pix.Centavos(5000), // R$ 50.00
//		ExternalReference: "withdrawal-42",
//		WebhookURL:        "https://wallet.example/webhooks/connectpsp",
//		Payee: connectpsp.Payee{
//			Name:        "Maria Silva",
//			Document:    "12345678909",
//			Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, "12345678909"),
//		},
//	})
//
// # Money
//
// [Client.CreateCashIn], [Client.CreateCashOut], [Client.RefundCashIn] and
// [Client.RebalanceAccount] end in one of three ways, which are three kinds of value:
//
//   - accepted: the result, and a nil error;
//   - rejected for certain: a [*ValidationError] or ValidationErrors, found before anything was
//     sent, or an [*APIError];
//   - unknown: an [*UnknownOutcomeError], or an [*APIError] that is a conflict. errors.Is(err,
//     ErrUnknownOutcome) tells both.
//
// Unknown means that the money may have moved. Doubt is sticky: once an attempt was sent and not
// answered, a later refusal proves nothing about it, and the outcome stays unknown until a 2xx
// response to the same idempotency key, a GET or a webhook settles it. Call again with the same
// request, or wait; never pay under a new externalReference while one is unknown.
//
// A client remembers open payments, so doubt outlives the call; with [WithJournal] it outlives the
// process, and [Client.Recover] settles the payments that it left open. Without a journal, in the
// first call of a new process for a payment that an earlier one may have sent, a nil error settles
// it and no other outcome does. [Client.ResolveCashOut] settles an [*UnknownOutcomeError] that was
// kept. Calls with the same idempotency key are made one after the other.
//
// # Retries
//
// Reads are repeated after network errors, unreadable responses, 408, 425, 429 and 5xx. Operations
// that move money are repeated after the same and 499, and after a 409 whose code says that the key
// is in use, with the same key and bytes; [Client.RebalanceAccount] takes no key and sets a state,
// so repeating it is harmless. A 401 or, if the token has changed meanwhile, an INVALID_SIGNATURE
// is repeated once with another token. Nothing else is ever sent twice: redirects are not followed,
// and net/http is kept from replaying requests.
//
// RetryPolicy says how often and how fast, and a budget that each client has ends retries while
// most of its calls fail. Every wait and every request ends when the context does. An attempt is
// bounded by 30 seconds, a call by 90 seconds before the last attempt begins.
//
// # Personal data
//
// The types of requests and responses print only the identity of a payment: reference, transaction
// id, status and amount. That holds for package fmt, log and log/slog. Their JSON is sent,
// and has all of it. Three ways of printing go past that:
//
//   - Package fmt calls no methods in the unexported fields of a struct of yours. Give that struct
//     a Format or String method of its own.
//   - Package fmt calls no methods for %p and %w, which go vet refuses.
//   - The JSON handler of log/slog leaves a slice, a map or a struct that holds such a value to
//     encoding/json. Log the value itself.
//
// # Sharing
//
// A Client is made once and shared by all goroutines.
//
// # Other packages
//
//   - [webhook] receives events, and calls your function once for each step of a transaction.
//   - [sqlstore] keeps the journal, the inbox of events and the token in a database; [journal] keeps
//     payments in a file.
//   - [sandbox] is the gateway in memory, for tests.
//   - [pix] has amounts, keys, documents and QR codes.
//   - [metrics] is for Prometheus, and [otel], a module of its own, for OpenTelemetry.
//
// [journal]: https://pkg.go.dev/github.com/connectpsp/connectpsp-go/journal
// [metrics]: https://pkg.go.dev/github.com/connectpsp/connectpsp-go/metrics
// [otel]: https://pkg.go.dev/github.com/connectpsp/connectpsp-go/otel
// [sandbox]: https://pkg.go.dev/github.com/connectpsp/connectpsp-go/sandbox
// [sqlstore]: https://pkg.go.dev/github.com/connectpsp/connectpsp-go/sqlstore
// [webhook]: https://pkg.go.dev/github.com/connectpsp/connectpsp-go/webhook
package connectpsp
