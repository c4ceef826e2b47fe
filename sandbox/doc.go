// Package sandbox is the ConnectPSP gateway in memory, on loopback, for tests: of programs that use this SDK or any other
// client of the API. Nothing it does leaves the machine.
//
// Start gives a gateway that listens on 127.0.0.1 and whose Config is ready for a client. The test plays all the others: the
// payer (PayCashIn), the banking network (CompleteCashOut, FailCashOut, ReturnCashOut, SettleRefund), time (Advance), and
// what goes wrong between client and gateway (FailNext, RevokeTokens). Webhooks go out signed, and again until they are
// answered, as published; WaitWebhooks waits for them and Deliveries tells how they went.
//
// # What is published and what is assumed
//
// Requests, answers and checks follow the provider's published reference as it is written down in
// openapi/connectpsp.yaml. So do these codes of problems:
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
// The provider says nothing about the following, and the real gateway may differ; a program should not depend on it:
//
//   - The codes INVALID_REQUEST (400), NOT_FOUND and TRANSACTION_NOT_FOUND (404), METHOD_NOT_ALLOWED (405),
//     DUPLICATE_EXTERNAL_REFERENCE (409), IDEMPOTENCY_KEY_REUSED (422) and INTERNAL_ERROR (500).
//   - TOKEN_EXPIRED also stands for an access token that is missing, unknown or revoked. A new token leaves the older ones
//     valid.
//   - INSUFFICIENT_FUNDS also stands for a refund above the transactional balance and for a rebalance above both.
//   - CASH_IN_ALREADY_REFUNDED also stands for a refund that was accepted and is not settled. The published
//     MISSING_END_TO_END_ID does not occur: a paid charge has its endToEndId at once.
//   - The externalReference of a charge must be new among charges and that of a payment among payments, for ever, whatever
//     became of the first. That a charge's is refused with 409, as a payment's is, is assumed too.
//   - Idempotency keys live as long as the sandbox. An answer of 2xx, 409 or 422 is repeated to the byte, while a request
//     that is refused for its token, its signature, its form or an unknown transaction leaves the key unused. A key with
//     another path or other bytes is IDEMPOTENCY_KEY_REUSED. The key is looked up before the
//     externalReference. POST /account/rebalance ignores it.
//   - Requests are checked strictly: JSON without repeated names, Content-Type application/json, at most 64 KiB, no null,
//     members by their exact names, check digits of CPF and CNPJ, the form of PIX keys. Members that are not known are
//     ignored.
//   - What an accepted cash-out and refund answer beyond their ids, the time stamps of a cash-out, and that paymentUrl comes
//     in the place of pixData in the OpenFinance flow.
//   - A cash-out that was refused with 422 leaves its externalReference free.
//   - A read and a webhook leave pixData and paymentUrl out.
//   - An accepted cash-out takes its amount from the transactional balance at once, and an accepted refund too. FAILED,
//     CANCELLED and a return give it back.
//   - An expired charge cannot be paid. Expiry and cancellation send no webhook.
//   - The first wait between two attempts to deliver a webhook is one second, each further one twice as long up to a
//     minute, and the twelfth attempt is the last. That 200 alone counts, within five seconds, and that
//     X-Event-Id is new for each attempt, is published; the five seconds are of real time, whatever Advance does.
//
// A sandbox keeps everything in memory until it is garbage. It sends webhooks to loopback addresses only and notes the others
// as refused, so a test cannot leak to a real receiver.
package sandbox
