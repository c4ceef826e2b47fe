// Package sandbox is the ConnectPSP gateway in memory, on loopback. It serves tests of programs
// that use this SDK or any other client of the API. Nothing leaves the machine.
//
// [Start] returns a gateway that listens on 127.0.0.1; its [Sandbox.Config] is ready for a client.
// The test plays everybody else, and asks at the end what the gateway was asked to do.
//
// # Situations
//
// Each situation is one call, or an [Option]. A method that cannot do what it is asked for returns
// an error that wraps [ErrNotFound], [ErrTransition] or [ErrInvalid], and changes nothing.
//
// The payer:
//
//	pays                                       PayCashIn
//	pays from another account or as another
//	person, another amount, late, or twice     PayCashInWith
//	does not pay                               ExpireCashIn, CancelCashIn, Advance
//	gets the refund that was asked for         SettleRefund
//	takes the money back without a refund      ReturnCashIn, ReturnCashInPart
//
// The banking network:
//
//	makes a payment                            CompleteCashOut
//	does not make it                           FailCashOut, CancelCashOut
//	returns it, whole or in parts              ReturnCashOut, ReturnCashOutPart
//	says the opposite of what it said          ContradictCashOut
//
// The gateway:
//
//	forgets idempotency keys                   WithKeyLifetime, SetKeyLifetime, ForgetKeys
//	accepts a reference twice                  WithUniqueReferences(false), SetUniqueReferences
//	does not repeat refusals under a key       WithRepeatedRefusals(false), SetRepeatedRefusals
//	refuses, with any status and code          RefuseNext
//	has too little money                       WithBalance, SetBalances
//	is slow                                    SetLatency
//	admits only so many requests               SetRateLimit
//	revokes access tokens                      RevokeTokens
//	has another CryptoToken                    RotateCryptoToken
//
// What lies between client and gateway, by [Sandbox.FailNext] for the next requests,
// [Sandbox.FailEvery] for every nth one, and [Sandbox.FailWithProbability]:
//
//	a cut before or after the effect           LoseRequest, LoseAnswer
//	no response, before or after the effect    Hang, HangAfterExecution
//	half a body                                CutAnswer
//	JSON that breaks off                       BrokenJSON
//	the response to another request            OtherAnswer
//	a page in HTML, of any status              Unavailable, Status(502), Status(200)
//	the same after the effect                  StatusAfterExecution(504)
//	429 with Retry-After                       TooManyRequests
//
// [Sandbox.ClearFaults] ends all of them. A certificate that the client does not trust needs no
// fault: [net/http/httptest.NewTLSServer] serves a Sandbox with one.
//
// Webhooks are signed, and each is sent again until the receiver responds with 200, as published.
// [Sandbox.WaitWebhooks] waits for that. By the same methods with an event type:
//
//	lost, held back, doubled                   LoseWebhook, HoldWebhook, DoubleWebhook
//	in another order                           HoldWebhook, ReleaseWebhooks, ReleaseWebhooksInReverse
//	signed with the previous secret            PreviousSignature
//	repeated                                   Redeliver
//	of any content                             SendWebhook
//
// # Assertions
//
// [Sandbox.CashIns] and [Sandbox.CashOuts] return the transactions, [Sandbox.Requests] the requests
// as they came, and [Sandbox.Deliveries] every attempt to deliver a webhook. That exactly one
// payment of R$ 30.00 went to a key is one line of a test:
//
//	assert.Len(t, gateway.CashOuts().ByKey("maria@example.com").ByAmount(pix.Centavos(3000)), 1)
//
// # Time and chance
//
// [Sandbox.Advance] moves the gateway's clock forward, and what is due happens in the order of its
// times. The clocks of the client, its journal and the webhook.Worker do not move with it. A bubble
// of [testing/synctest] moves all of them with one sleep: start the sandbox with
// [WithMemoryNetwork] there.
//
// [WithSeed] and [WithTime] make a run repeatable: the same calls get the same bytes, ids, tokens
// and signatures included. The clock only goes forward: [Sandbox.Restore] goes back to a state that
// [Sandbox.Snapshot] has taken, and [Sandbox.Reset] to that of [Start]. [Sandbox.JumpTo] goes on
// from an old snapshot at the present time.
//
// # Published behaviour and assumptions
//
// Requests, responses and checks follow the provider's published reference, as
// openapi/connectpsp.yaml has it. So do these codes of problems:
//
//	INVALID_CREDENTIALS        401, wrong client id or secret
//	TOKEN_EXPIRED              401, an access token that has expired
//	INVALID_APPLICATION_TOKEN  401, a missing or unknown ApplicationToken
//	INVALID_SIGNATURE          422, a missing or wrong DigitalSignature
//	CASH_IN_NOT_PAID           422, a refund before the payment
//	CASH_IN_ALREADY_REFUNDED   422, a second refund
//	CASH_IN_EXPIRED            422, a refund of an expired charge
//	CASH_IN_CANCELLED          422, a refund of a cancelled charge
//	INSUFFICIENT_FUNDS         422, a cash-out above the transactional balance
//
// The provider does not publish the following, and the real gateway may differ. A program should
// not depend on it:
//
//   - The codes INVALID_REQUEST (400), NOT_FOUND and TRANSACTION_NOT_FOUND (404),
//     METHOD_NOT_ALLOWED (405), DUPLICATE_EXTERNAL_REFERENCE (409), IDEMPOTENCY_KEY_REUSED (422),
//     TOO_MANY_REQUESTS (429) and INTERNAL_ERROR (500).
//   - TOKEN_EXPIRED is also the code for an access token that is missing, unknown or revoked. A new
//     token leaves the older ones valid.
//   - INSUFFICIENT_FUNDS is also the code for a refund above the transactional balance and for a
//     rebalance above both balances.
//   - CASH_IN_ALREADY_REFUNDED is also the code for a second refund while the first is on its way.
//     The published MISSING_END_TO_END_ID occurs by [Sandbox.RefuseNext] only: a paid charge has
//     its endToEndId at once.
//   - The externalReference of a charge must be new among charges, and that of a payment among
//     payments, for ever and regardless of the status of the first, unless [WithUniqueReferences]
//     says otherwise. The 409 for a charge is an assumption too.
//   - Idempotency keys live as long as the sandbox, or as [WithKeyLifetime] says. A 2xx, 409 or 422
//     response is repeated byte for byte, unless [WithRepeatedRefusals] says otherwise. A request
//     that is refused for its token, its signature, its form or an unknown transaction leaves the
//     key unused. A key with another path or other bytes is IDEMPOTENCY_KEY_REUSED. The key is
//     checked before the externalReference. POST /account/rebalance ignores it.
//   - Requests are checked strictly: JSON without repeated names, Content-Type application/json, at
//     most 64 KiB, no null, members by their exact names, check digits of CPF and CNPJ, the form of
//     PIX keys. Unknown members are ignored.
//   - The members beyond the ids in the response to a cash-out and a refund, the timestamps of a
//     cash-out, and paymentUrl instead of pixData in the OpenFinance flow.
//   - A cash-out that was refused with 422 leaves its externalReference unused.
//   - A read and a webhook have neither pixData nor paymentUrl.
//   - An accepted cash-out takes its amount from the transactional balance at once, and so does an
//     accepted refund. FAILED, CANCELLED and a return put it back.
//   - An expired charge can be paid by [Sandbox.PayCashInWith] only. Expiry and cancellation send
//     no webhook.
//   - The payer of a paid charge is the one who paid, and its amount the paid amount. A return in
//     parts has one webhook for each part. The amount of the webhook, and of a read after it, is
//     that of the part. A read by an endToEndId returns the payment or the return that has the id,
//     once there is a later one.
//   - The pause before the second attempt to deliver a webhook is one second. Each further pause is
//     twice as long, up to a minute, and the twelfth attempt is the last. It is published that only
//     200 counts, within five seconds, and that X-Event-Id is new for each attempt. The five
//     seconds are of real time, also after [Sandbox.Advance].
//
// A sandbox keeps everything but old requests in memory until it is garbage. It sends webhooks to
// loopback addresses only, or with [WithPrivateNetwork] to private networks too, and records the
// others as refused, so a test cannot leak to a real receiver.
package sandbox
