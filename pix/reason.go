package pix

// Reason is the exact reason why [ParseKey] or [ParseDocument] refuses a text: a
// code for programs, to choose a text in the user's language by. Their errors
// wrap it, and errors.As finds it:
//
//	var reason pix.Reason
//	if errors.As(err, &reason) && reason == pix.ReasonDocumentCheckDigits {
//
// Later versions may add reasons, and tell apart what one of these covers.
type Reason string

const (
	// ReasonEmpty is a key or document without a character.
	ReasonEmpty Reason = "EMPTY"

	// ReasonKeyType is a type of key that has no constant here.
	ReasonKeyType Reason = "KEY_TYPE"
	// ReasonKeyLength is a key of more than 77 bytes.
	ReasonKeyLength Reason = "KEY_LENGTH"

	// ReasonDocumentCharacter is a CPF with a character other than a digit, or
	// a CNPJ with one that is neither a digit nor a letter, or with a letter in
	// place of a check digit.
	ReasonDocumentCharacter Reason = "DOCUMENT_CHARACTER"
	// ReasonDocumentPunctuation is a document with points, hyphens, slashes or
	// spaces: in a key any, and elsewhere others than those of the complete
	// layout.
	ReasonDocumentPunctuation Reason = "DOCUMENT_PUNCTUATION"
	// ReasonDocumentLowerCase is a CNPJ with lower-case letters.
	ReasonDocumentLowerCase Reason = "DOCUMENT_LOWER_CASE"
	// ReasonDocumentLength is a CPF that does not have 11 characters, or a CNPJ
	// that does not have 14.
	ReasonDocumentLength Reason = "DOCUMENT_LENGTH"
	// ReasonDocumentFiller is a document made of one repeated character, which
	// belongs to no one.
	ReasonDocumentFiller Reason = "DOCUMENT_FILLER"
	// ReasonDocumentCheckDigits is a document with a wrong digit somewhere: its
	// last two do not follow from the others.
	ReasonDocumentCheckDigits Reason = "DOCUMENT_CHECK_DIGITS"

	// ReasonEmailAt is an e-mail address without an @.
	ReasonEmailAt Reason = "EMAIL_AT"
	// ReasonEmailName is an e-mail address with nothing before the @, or with a
	// character there that a key does not have, such as a space or an accent.
	ReasonEmailName Reason = "EMAIL_NAME"
	// ReasonEmailDomain is an e-mail address whose part after the @ is no name
	// of a domain.
	ReasonEmailDomain Reason = "EMAIL_DOMAIN"

	// ReasonPhoneCountry is a phone number that does not begin with + and a
	// country code.
	ReasonPhoneCountry Reason = "PHONE_COUNTRY"
	// ReasonPhoneDigits is a phone number with another character than a digit
	// after the +, or with fewer than 3 or more than 16 of them.
	ReasonPhoneDigits Reason = "PHONE_DIGITS"

	// ReasonEVP is a random key that does not have the form of a UUID.
	ReasonEVP Reason = "EVP"
)

var reasons = map[Reason]string{
	ReasonEmpty:               "it is empty",
	ReasonKeyType:             "its type is not known",
	ReasonKeyLength:           "it is longer than 77 characters",
	ReasonDocumentCharacter:   "it has a character that no CPF or CNPJ has in that place",
	ReasonDocumentPunctuation: "its punctuation is incomplete, or not allowed here",
	ReasonDocumentLowerCase:   "the letters of a CNPJ are upper case",
	ReasonDocumentLength:      "a CPF has 11 characters, and a CNPJ has 14",
	ReasonDocumentFiller:      "it is one repeated character, and belongs to no one",
	ReasonDocumentCheckDigits: "its check digits are wrong",
	ReasonEmailAt:             "an e-mail key has an @",
	ReasonEmailName:           "before its @ an e-mail key has letters, digits and some signs, and no accents, spaces or percent signs",
	ReasonEmailDomain:         "after its @ an e-mail key has the name of a domain",
	ReasonPhoneCountry:        "a phone key is + and digits, starting with the country code",
	ReasonPhoneDigits:         "after its + a phone key has 3 to 16 digits and nothing else",
	ReasonEVP:                 "a random key has the form of a UUID with hyphens",
}

// Error returns the reason in English. A Reason is an error only so that
// errors.As finds it.
func (r Reason) Error() string {
	if text := reasons[r]; text != "" {
		return text
	}
	return string(r)
}
