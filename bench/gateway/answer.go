// Package gateway answers payments as cheaply as can be, in memory or from a process of its own, so that what is measured is
// the caller. It checks nothing: package sandbox is the gateway that does.
package gateway

import (
	"fmt"
	"strings"
)

// The answers leave out externalReference, which a gateway may, so that one text answers every payment and a caller that
// compares what is stated with what it asked for finds no fault.
var (
	// CashOutAnswer is an accepted payment, of about 700 bytes.
	CashOutAnswer = []byte(`{"transactionId": "0b0c5c8e-6a55-4f3f-9f0d-6f7b0a0c2c11", "internalCode": "` + code(0) + `", "status": "COMPLETED", ` +
		`"amount": 50.00, "description": "Withdrawal of user 42 to an account of the same person, asked for in the mobile application and approved by two people", "payee": {"name": "Maria Silva", ` +
		`"document": "12345678909", "destination": {"type": "PIX", "pixKeyType": "CPF", "pixKey": "12345678909", "bankAccount": null}}, ` +
		`"requestedAt": "2026-03-10T11:20:00-03:00", "endToEndId": "E00416968202603101827cemeFscF6AG", ` +
		`"originalEndToEndId": null, "completedAt": "2026-03-10T11:20:02-03:00", ` +
		`"failedAt": null, "refundedAt": null, "cancelledAt": null, "failure": null}`)

	// CashInAnswer is a charge without a picture, as long as CashOutAnswer to a few bytes.
	CashInAnswer = []byte(charge(strings.Repeat("0", copyAndPaste), ""))

	// QRAnswer is a charge with a picture of its QR code: 3 KB of base64.
	QRAnswer = []byte(charge(strings.Repeat("0", copyAndPaste), strings.Repeat("iVBORw0KGgoAAAAN", 192)))
)

// copyAndPaste is how long the text of a BR Code is taken to be.
const copyAndPaste = 230

func charge(copyAndPaste, picture string) string {
	return `{"transactionId": "kk6g232xel65a0daee4dd13kk2912714964", "internalCode": "` + code(0) + `", "status": "AWAITING_PAYMENT", ` +
		`"amount": 50.00, "payer": {"name": "Maria Silva", "document": "12345678909", "bankData": null}, "pixData": {"copyAndPaste": "` +
		copyAndPaste + `", "qrCodeImageBase64": "` + picture + `"}, "requestedAt": "2026-03-10T11:20:00-03:00", "endToEndId": null, ` +
		`"originalEndToEndId": null, "paidAt": null, "expiredAt": null, "refundedAt": null, "paymentUrl": null}`
}

// code is what a gateway in a process of its own says of the time that it took, in nanoseconds, in a field that every caller
// reads.
func code(nanoseconds int64) string { return fmt.Sprintf("T%012d", nanoseconds) }

func tokenAnswer(number, seconds int) string {
	return fmt.Sprintf(`{"accessToken": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMDI0IiwibiI6%08d.c2lnbmF0dXJl", `+
		`"tokenType": "Bearer", "expiresIn": %d, "issuedAt": "2026-03-10T14:00:00Z"}`, number, seconds)
}
