package connectpsp

import "github.com/connectpsp/connectpsp-go/pix"

// The types of requests and answers are in types_cashin.go, types_cashout.go and types_account.go.
//
// A field that the gateway left out, sent as null or sent in a form that cannot be read is zero. A
// pointer stands only where the presence of an object means something. Strings that name one of a
// list of values have types of their own, which are open: a value that has no constant here is kept
// as it came.
//
// encoding/json writes these types as the gateway reads them, with all their personal data. fmt,
// log and log/slog do not; see redact.go. The fields of a request are in the order in which they
// are sent: the same request gives the same bytes in every version of the SDK, which is how the
// journal and the gateway recognise a call that is repeated.

// PIXKeyType is the kind of a PIX key. It is [pix.KeyType] by another name.
type PIXKeyType = pix.KeyType

const (
	// PIXKeyCPF is a key that is the CPF of its owner: 11 digits.
	PIXKeyCPF = pix.KeyTypeCPF
	// PIXKeyCNPJ is a key that is the CNPJ of its owner: 14 digits.
	PIXKeyCNPJ = pix.KeyTypeCNPJ
	// PIXKeyEmail is an e-mail address, in lower case.
	PIXKeyEmail = pix.KeyTypeEmail
	// PIXKeyPhone is a phone number with + and its country code, such as +5511987654321.
	PIXKeyPhone = pix.KeyTypePhone
	// PIXKeyEVP is a random key: a UUID in lower case.
	PIXKeyEVP = pix.KeyTypeEVP
)
