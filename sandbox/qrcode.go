package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"rsc.io/qr"
)

// PIXData returns the QR code of a charge, also of one that was created for OpenFinance. The error
// wraps [ErrNotFound].
func (s *Sandbox) PIXData(id string) (*connectpsp.PIXData, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	charge := s.cashIns[id]
	if charge == nil {
		return nil, ErrNotFound
	}
	return newPIXData(charge.TransactionID, charge.Requested)
}

// withoutQRCode returns the response to createCashIn without the QR code, which is most of it, and
// other responses as they are.
func (r response) withoutQRCode() response {
	charge, isCharge := r.charge()
	if !isCharge || charge.PIXData == nil {
		return r
	}
	charge.PIXData = nil
	return newResponse(r.Status, r.ContentType, charge)
}

// withQRCode is the inverse of withoutQRCode.
func (r response) withQRCode() response {
	charge, isCharge := r.charge()
	if !isCharge || charge.PIXData != nil || charge.PaymentURL != "" {
		return r
	}
	data, err := newPIXData(charge.TransactionID, charge.Amount)
	if err != nil {
		return r // a snapshot that was edited
	}
	charge.PIXData = data
	return newResponse(r.Status, r.ContentType, charge)
}

// charge returns the charge of a response to createCashIn.
func (r response) charge() (charge connectpsp.CashIn, isCharge bool) {
	isCharge = r.Status == http.StatusCreated && json.Unmarshal(r.Body, &charge) == nil
	return charge, isCharge
}

// newPIXData makes the dynamic BR Code of a charge and its image. There is no server at its URL.
func newPIXData(transactionID string, amount pix.Amount) (*connectpsp.PIXData, error) {
	text, err := pix.BRCode{
		URL:          "sandbox.connectpsp.example/qr/v2/" + transactionID,
		Amount:       amount,
		MerchantName: "CONNECTPSP SANDBOX",
		MerchantCity: "SAO PAULO",
		SingleUse:    true,
	}.Encode()
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	image, err := qr.Encode(text, qr.M)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	image.Scale = 4 // pixels a module: a QR code for the screen of a phone
	return &connectpsp.PIXData{
		CopyAndPaste:      text,
		QRCodeImageBase64: base64.StdEncoding.EncodeToString(image.PNG()),
	}, nil
}
