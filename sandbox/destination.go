package sandbox

import (
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// destination decodes the destination of a payment. It ignores members of the other type.
func destination(o *object) connectpsp.Destination {
	kind := connectpsp.DestinationType(o.oneOf("type", string(connectpsp.DestinationPIX), string(connectpsp.DestinationBankAccount)))
	switch kind {
	case connectpsp.DestinationPIX:
		keyType := pix.KeyType(o.oneOf("pixKeyType", string(pix.KeyTypeCPF), string(pix.KeyTypeCNPJ),
			string(pix.KeyTypeEmail), string(pix.KeyTypePhone), string(pix.KeyTypeEVP)))
		key := o.text("pixKey")
		if _, err := pix.ParseKey(keyType, key); err != nil {
			o.reject("pixKey", "must be a key of its type")
		}
		return connectpsp.Destination{Type: kind, PIXKeyType: keyType, PIXKey: key}
	case connectpsp.DestinationBankAccount:
		account := o.object("bankAccount")
		return connectpsp.Destination{Type: kind, BankAccount: &connectpsp.BankAccount{
			ISPB:        account.ispb("ispb"),
			Branch:      account.text("branch"),
			Account:     account.text("account"),
			AccountType: connectpsp.AccountType(account.text("accountType")),
		}}
	default:
		return connectpsp.Destination{}
	}
}

func (o *object) ispb(name string) string {
	text := o.text(name)
	if !isISPB(text) {
		o.reject(name, "must be eight digits")
	}
	return text
}
