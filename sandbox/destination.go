package sandbox

import (
	"strings"

	"github.com/connectpsp/connectpsp-go/gen"
	"github.com/connectpsp/connectpsp-go/pix"
)

// destination reads where a payment goes. What belongs to the other type is left out.
func destination(o *object) gen.Destination {
	kind := gen.DestinationType(o.oneOf("type", string(gen.DestinationTypePIX), string(gen.DestinationTypeBANKACCOUNT)))
	switch kind {
	case gen.DestinationTypePIX:
		keyType := pix.KeyType(o.oneOf("pixKeyType", string(pix.KeyTypeCPF), string(pix.KeyTypeCNPJ),
			string(pix.KeyTypeEmail), string(pix.KeyTypePhone), string(pix.KeyTypeEVP)))
		key := o.text("pixKey")
		if _, err := pix.ParseKey(keyType, key); err != nil {
			o.reject("pixKey", "must be a key of its type")
		}
		return gen.Destination{Type: kind, PIXKeyType: keyType, PIXKey: key}
	case gen.DestinationTypeBANKACCOUNT:
		account := o.object("bankAccount")
		return gen.Destination{Type: kind, BankAccount: &gen.BankAccount{
			ISPB:        account.ispb("ispb"),
			Branch:      account.text("branch"),
			Account:     account.text("account"),
			AccountType: gen.BankAccountAccountType(account.text("accountType")),
		}}
	default:
		return gen.Destination{}
	}
}

func (o *object) ispb(name string) string {
	text := o.text(name)
	if len(text) != 8 || strings.Trim(text, digits) != "" {
		o.reject(name, "must be eight digits")
	}
	return text
}
