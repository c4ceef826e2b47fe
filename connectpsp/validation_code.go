package connectpsp

import (
	"cmp"

	"github.com/connectpsp/connectpsp-go/pix"
)

// ValidationCode says what is wrong with a field: a code to choose a text in the user's language
// by. The codes of keys and documents are those of [pix.Reason]. Later versions may add codes, and
// tell apart what one of these covers.
type ValidationCode string

// The codes of any field.
const (
	// InvalidEmpty is a field that must be set.
	InvalidEmpty = ValidationCode(pix.ReasonEmpty)
	// InvalidNotAllowed is a field that must not be set, or not together with another.
	InvalidNotAllowed ValidationCode = "NOT_ALLOWED"
	// InvalidChoice is a value that is none of those that the field may have.
	InvalidChoice ValidationCode = "CHOICE"
	// InvalidNegative is a number or a duration below zero.
	InvalidNegative ValidationCode = "NEGATIVE"
	// InvalidAmountTooSmall is an amount below R$ 0.01, or a target of a rebalance below zero.
	InvalidAmountTooSmall ValidationCode = "AMOUNT_TOO_SMALL"
	// InvalidAmountTooLarge is an amount above R$ 9,999,999,999.99.
	InvalidAmountTooLarge ValidationCode = "AMOUNT_TOO_LARGE"
	// InvalidText is a text that is not UTF-8, or has a character that cannot be printed.
	InvalidText ValidationCode = "TEXT"
	// InvalidSpaces is a reference with spaces around it.
	InvalidSpaces ValidationCode = "SPACES"
	// InvalidID is an id that is no transaction's.
	InvalidID ValidationCode = "ID"
)

// The codes of documents, of PIX keys and of bank accounts.
const (
	// InvalidDocumentCharacter is [pix.ReasonDocumentCharacter].
	InvalidDocumentCharacter = ValidationCode(pix.ReasonDocumentCharacter)
	// InvalidDocumentPunctuation is [pix.ReasonDocumentPunctuation]: requests have digits only.
	InvalidDocumentPunctuation = ValidationCode(pix.ReasonDocumentPunctuation)
	// InvalidDocumentLowerCase is [pix.ReasonDocumentLowerCase].
	InvalidDocumentLowerCase = ValidationCode(pix.ReasonDocumentLowerCase)
	// InvalidDocumentLength is [pix.ReasonDocumentLength].
	InvalidDocumentLength = ValidationCode(pix.ReasonDocumentLength)
	// InvalidDocumentFiller is [pix.ReasonDocumentFiller].
	InvalidDocumentFiller = ValidationCode(pix.ReasonDocumentFiller)
	// InvalidDocumentCheckDigits is [pix.ReasonDocumentCheckDigits].
	InvalidDocumentCheckDigits = ValidationCode(pix.ReasonDocumentCheckDigits)
	// InvalidDocumentLetters is a CNPJ with letters, which the gateway does not take yet.
	InvalidDocumentLetters ValidationCode = "DOCUMENT_LETTERS"

	// InvalidKeyType is [pix.ReasonKeyType].
	InvalidKeyType = ValidationCode(pix.ReasonKeyType)
	// InvalidKeyLength is [pix.ReasonKeyLength].
	InvalidKeyLength = ValidationCode(pix.ReasonKeyLength)
	// InvalidKeySpelling is a key with spaces around it, or an e-mail or random key in upper case.
	// [ToPIXKey] corrects that.
	InvalidKeySpelling ValidationCode = "KEY_SPELLING"
	// InvalidEmailAt is [pix.ReasonEmailAt].
	InvalidEmailAt = ValidationCode(pix.ReasonEmailAt)
	// InvalidEmailName is [pix.ReasonEmailName].
	InvalidEmailName = ValidationCode(pix.ReasonEmailName)
	// InvalidEmailDomain is [pix.ReasonEmailDomain].
	InvalidEmailDomain = ValidationCode(pix.ReasonEmailDomain)
	// InvalidPhoneCountry is [pix.ReasonPhoneCountry].
	InvalidPhoneCountry = ValidationCode(pix.ReasonPhoneCountry)
	// InvalidPhoneDigits is [pix.ReasonPhoneDigits].
	InvalidPhoneDigits = ValidationCode(pix.ReasonPhoneDigits)
	// InvalidEVP is [pix.ReasonEVP].
	InvalidEVP = ValidationCode(pix.ReasonEVP)

	// InvalidISPB is the code of a bank that does not have 8 digits.
	InvalidISPB ValidationCode = "ISPB"
	// InvalidAccount is a branch, account or type of account with more than 20 characters, or with
	// other characters than letters, digits, '-' and '_'.
	InvalidAccount ValidationCode = "ACCOUNT"

	// InvalidPayee is a document, a PIX key or a bank account of another person than the [Holder]
	// whom the function of [WithPayeeCheck] returned.
	InvalidPayee ValidationCode = "PAYEE"
	// InvalidPayeeUnclear is a PIX key or a bank account that does not show its owner. For
	// payee.document, the Document of the Holder is missing or wrong.
	InvalidPayeeUnclear ValidationCode = "PAYEE_UNCLEAR"
)

// The codes of addresses.
const (
	// InvalidURL is no absolute URL in visible ASCII, or one that is too long.
	InvalidURL ValidationCode = "URL"
	// InvalidURLParts is a URL with a part that it must not have: a user, a fragment or, as a
	// BaseURL, a query.
	InvalidURLParts ValidationCode = "URL_PARTS"
	// InvalidURLScheme is a URL that is not https.
	InvalidURLScheme ValidationCode = "URL_SCHEME"
	// InvalidURLHost is a URL whose host is not a public name.
	InvalidURLHost ValidationCode = "URL_HOST"
	// InvalidURLPort is a URL with a port outside of 1 to 65535.
	InvalidURLPort ValidationCode = "URL_PORT"
)

// The codes of mistakes that only the program's author can mend.
const (
	// InvalidCredential is a ClientID or a secret with a space, or with a character other than
	// visible ASCII.
	InvalidCredential ValidationCode = "CREDENTIAL"
	// InvalidIdempotencyKey is a key given to [WithIdempotencyKey] that is not a UUID.
	InvalidIdempotencyKey ValidationCode = "IDEMPOTENCY_KEY"
	// InvalidOption is an option that does not fit the operation or another option.
	InvalidOption ValidationCode = "OPTION"
	// InvalidTransport is an HTTP client whose transport is nil or does not verify certificates.
	InvalidTransport ValidationCode = "TRANSPORT"
)

const internalFault = "Erro interno de configuração. Nada foi enviado. Fale com o suporte."

// userMessages are short sentences for the person who fills in a form, in Brazilian Portuguese.
var userMessages = map[ValidationCode]string{
	InvalidEmpty:          "Preencha este campo.",
	InvalidNotAllowed:     "Deixe este campo vazio.",
	InvalidChoice:         "Escolha uma das opções.",
	InvalidNegative:       "O número não pode ser negativo.",
	InvalidAmountTooSmall: "O valor é menor que o mínimo permitido.",
	InvalidAmountTooLarge: "O valor é maior que o máximo permitido.",
	InvalidText:           "O texto tem um caractere que não é aceito. Digite-o outra vez, sem copiar e colar.",
	InvalidSpaces:         "Retire os espaços do começo e do fim.",
	InvalidID:             "O código da transação não é válido.",

	InvalidDocumentCharacter:   "O CPF ou CNPJ tem um caractere que não é aceito.",
	InvalidDocumentPunctuation: "Escreva o CPF ou CNPJ sem pontos, traços, barras nem espaços.",
	InvalidDocumentLowerCase:   "Escreva as letras do CNPJ em maiúsculas.",
	InvalidDocumentLength:      "Um CPF tem 11 dígitos, e um CNPJ tem 14. Confira se falta ou sobra algum.",
	InvalidDocumentFiller:      "Este CPF ou CNPJ repete um só caractere e não pertence a ninguém.",
	InvalidDocumentCheckDigits: "Confira o CPF ou CNPJ: há um dígito errado.",
	InvalidDocumentLetters:     "CNPJ com letras ainda não é aceito.",

	InvalidKeyType:      "Escolha o tipo da chave PIX: CPF, CNPJ, e-mail, telefone ou chave aleatória.",
	InvalidKeyLength:    "Uma chave PIX tem no máximo 77 caracteres.",
	InvalidKeySpelling:  "Escreva a chave PIX sem espaços e em letras minúsculas.",
	InvalidEmailAt:      "Falta o @ no e-mail.",
	InvalidEmailName:    "Confira o e-mail antes do @: acentos, espaços e alguns símbolos não são aceitos.",
	InvalidEmailDomain:  "Confira o e-mail depois do @, onde vem um domínio, como exemplo.com.br.",
	InvalidPhoneCountry: "Comece o telefone com + e o código do país, como em +5511987654321.",
	InvalidPhoneDigits:  "Depois do + escreva só os dígitos do telefone, como em +5511987654321.",
	InvalidEVP:          "A chave aleatória está incompleta ou tem um erro. Copie-a outra vez do aplicativo do banco.",

	InvalidISPB:    "O código do banco (ISPB) tem 8 dígitos.",
	InvalidAccount: "Use no máximo 20 letras, números ou hifens, sem espaços nem pontos.",

	InvalidPayee:        "Este dado é de outra pessoa. Use uma chave PIX ou conta do próprio titular do cadastro.",
	InvalidPayeeUnclear: "Não dá para confirmar de quem é este dado. Use como chave PIX o CPF ou CNPJ do titular do cadastro.",

	InvalidURL:       "O endereço (URL) não é válido.",
	InvalidURLParts:  "O endereço (URL) tem uma parte que não é aceita: usuário, consulta ou fragmento.",
	InvalidURLScheme: "O endereço (URL) deve começar com https://.",
	InvalidURLHost:   "O endereço (URL) deve ter um nome público na internet.",
	InvalidURLPort:   "A porta do endereço (URL) deve estar entre 1 e 65535.",

	InvalidCredential:     internalFault,
	InvalidIdempotencyKey: internalFault,
	InvalidOption:         internalFault,
	InvalidTransport:      internalFault,
}

// UserMessage returns a sentence in Brazilian Portuguese for the person who filled in the field. It
// says what to correct, without the name of the field and without its value, and is never empty.
// For other languages translate Code; Reason is for the program's author.
func (e *ValidationError) UserMessage() string {
	return cmp.Or(userMessages[e.Code], "Este campo não é válido.")
}
