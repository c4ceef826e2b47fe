package sandbox

import (
	"encoding/base64"
	"fmt"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"rsc.io/qr"
)

// newPIXData makes the dynamic BR Code of a charge and its image. Nothing answers at its URL.
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
	image.Scale = 4 // as wide as a telephone's screen needs it
	return &connectpsp.PIXData{
		CopyAndPaste:      text,
		QRCodeImageBase64: base64.StdEncoding.EncodeToString(image.PNG()),
	}, nil
}
