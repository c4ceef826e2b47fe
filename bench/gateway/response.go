// Package gateway accepts payments at the least cost, in memory or in a process of its own, so that
// a benchmark measures the caller. It checks nothing: package sandbox is the gateway that does.
package gateway

import (
	"fmt"
	"strings"
)

// The responses leave out externalReference, as a gateway may. So one text fits every payment, and
// a caller that compares the response with its request finds no difference.
var (
	// CashOutResponse is an accepted payment, of about 700 bytes.
	CashOutResponse = []byte(`{"transactionId": "0b0c5c8e-6a55-4f3f-9f0d-6f7b0a0c2c11", "internalCode": "` + code(0) + `", "status": "COMPLETED", ` +
		`"amount": 50.00, "description": "Withdrawal of user 42 to an account of the same person, asked for in the mobile application and approved by two people", "payee": {"name": "Maria Silva", ` +
		`"document": "12345678909", "destination": {"type": "PIX", "pixKeyType": "CPF", "pixKey": "12345678909", "bankAccount": null}}, ` +
		`"requestedAt": "2026-03-10T11:20:00-03:00", "endToEndId": "E00416968202603101827cemeFscF6AG", ` +
		`"originalEndToEndId": null, "completedAt": "2026-03-10T11:20:02-03:00", ` +
		`"failedAt": null, "refundedAt": null, "cancelledAt": null, "failure": null}`)

	// CashInResponse is a charge without a picture, as long as CashOutResponse to a few bytes.
	CashInResponse = []byte(charge(strings.Repeat("0", copyAndPaste), ""))

	// QRResponse is a charge with a picture of its QR code: 3 KB of base64.
	QRResponse = []byte(charge(strings.Repeat("0", copyAndPaste), strings.Repeat("iVBORw0KGgoAAAAN", 192)))
)

// copyAndPaste is the length of a BR Code.
const copyAndPaste = 230

func charge(copyAndPaste, picture string) string {
	return `{"transactionId": "kk6g232xel65a0daee4dd13kk2912714964", "internalCode": "` + code(0) + `", "status": "AWAITING_PAYMENT", ` +
		`"amount": 50.00, "payer": {"name": "Maria Silva", "document": "12345678909", "bankData": null}, "pixData": {"copyAndPaste": "` +
		copyAndPaste + `", "qrCodeImageBase64": "` + picture + `"}, "requestedAt": "2026-03-10T11:20:00-03:00", "endToEndId": null, ` +
		`"originalEndToEndId": null, "paidAt": null, "expiredAt": null, "refundedAt": null, "paymentUrl": null}`
}

// code returns an internalCode that states how long a gateway in a process of its own took, in
// nanoseconds. Every caller reads that field.
func code(nanoseconds int64) string { return fmt.Sprintf("T%012d", nanoseconds) }

func tokenResponse(number, seconds int) string {
	return fmt.Sprintf(`{"accessToken": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMDI0IiwibiI6%08d.c2lnbmF0dXJl", `+
		`"tokenType": "Bearer", "expiresIn": %d, "issuedAt": "2026-03-10T14:00:00Z"}`, number, seconds)
}
