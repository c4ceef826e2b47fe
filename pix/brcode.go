package pix

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrInvalidBRCode is wrapped by every error of [ParseBRCode] and
// [BRCode.Encode].
var ErrInvalidBRCode = errors.New("pix: invalid BR Code")

// Limits in bytes.
const (
	maxBRCode             = 512
	maxBRCodeValue        = 99 // the length is written with two digits
	maxBRCodeURL          = 77
	maxBRCodeAmount       = 13
	maxBRCodeMerchantName = 25
	maxBRCodeMerchantCity = 15
	maxBRCodePostalCode   = 10
	maxBRCodeTxID         = 25
)

// Identifiers of data objects, and the values that PIX fixes.
const (
	idFormat           = "00"
	idInitiation       = "01"
	idFirstAccount     = "26"
	idLastAccount      = "51"
	idMerchantCategory = "52"
	idCurrency         = "53"
	idAmount           = "54"
	idCountry          = "58"
	idMerchantName     = "59"
	idMerchantCity     = "60"
	idPostalCode       = "61"
	idAdditional       = "62"
	idChecksum         = "63"
	idFirstTemplate    = "80"

	// Inside the account template.
	idScheme      = "00"
	idKey         = "01"
	idDescription = "02"
	idURL         = "25"

	// Inside the additional data.
	idTxID = "05"

	formatValue       = "01"
	initiationMany    = "11"
	initiationOnce    = "12"
	schemePIX         = "br.gov.bcb.pix"
	currencyBRL       = "986"
	countryBrazil     = "BR"
	noMerchantCode    = "0000"
	noTxID            = "***"
	checksumHeader    = idChecksum + "04"
	checksumHexDigits = 4
)

// BRCode is the content of a PIX QR code, also passed around as the text
// called "PIX Copia e Cola".
//
// It is either dynamic, with a URL where the bank of the payer fetches the
// charge, or static, with a Key. In a dynamic code the bank takes the amount
// and the names from the response at the URL, so the Amount here is not the
// amount that will be paid.
//
// A BRCode is built as a literal and written by [BRCode.Encode], or read by
// [ParseBRCode]. The data objects that have no field here are kept when
// reading and written back. The zero value cannot be encoded. No function of
// this package changes a BRCode, so one that nobody assigns to may be shared.
// Key may be personal data and is not masked.
type BRCode struct {
	// URL is where a dynamic code points, without a scheme:
	// "pix.example.com/v2/…". At most 77 bytes.
	URL string

	// Key is the PIX key that a static code pays, as returned by [Key.Text].
	// At most 77 bytes.
	Key string

	// Description is a text for the payer. It shares 99 bytes with Key.
	Description string

	// Amount is the amount that the code states, up to R$ 9,999,999,999.99.
	// Zero means that the code states none.
	Amount Amount

	// MerchantName and MerchantCity are required, of at most 25 and 15 bytes.
	// An accented letter takes two bytes, and not every bank shows it.
	MerchantName string
	MerchantCity string

	// PostalCode is optional, at most 10 bytes.
	PostalCode string

	// MerchantCategory is the four-digit ISO 18245 code, or empty if there is
	// none, which is written "0000".
	MerchantCategory string

	// TxID identifies the payment of a static code: up to 25 letters and
	// digits, or empty if there is none, which is written "***". It stays
	// empty in a dynamic code, whose identifier is behind the URL.
	TxID string

	// SingleUse is true if the code must not be paid twice.
	SingleUse bool

	// accountID is the identifier of the account template if it is not the
	// first one, which another scheme may have taken.
	accountID string

	unknown           []dataObject
	unknownAccount    []dataObject
	unknownAdditional []dataObject
}

// ParseBRCode reads the text of a PIX QR code of at most 512 bytes. The
// checksum must be right and the lengths must add up to exactly the whole
// text. Spaces and newlines around it, which come with copying, are ignored.
//
// ParseBRCode tolerates faults that cannot change who receives how much: a name
// longer than allowed, a missing city, lengths that count characters where
// bytes were meant. [BRCode.Encode] is stricter. It refuses faults that could:
// an object that occurs twice, two PIX accounts, a URL together with a key, a
// currency other than the real, an amount that is not a whole number of
// centavos.
//
// Absence has one form: an amount of zero reads like none, and "***" and
// "0000" read as an empty TxID and MerchantCategory.
//
// Every error wraps [ErrInvalidBRCode] and none repeats the text.
func ParseBRCode(text string) (BRCode, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxBRCode {
		return BRCode{}, brCodeError("it is longer than %d bytes", maxBRCode)
	}
	if !utf8.ValidString(text) {
		return BRCode{}, brCodeError("it is not UTF-8")
	}
	end := len(text) - checksumHexDigits
	body, found := strings.CutSuffix(text[:max(0, end)], checksumHeader)
	if !found {
		return BRCode{}, brCodeError("it does not end in a checksum")
	}
	if !strings.EqualFold(text[end:], checksum(text[:end])) {
		return BRCode{}, brCodeError("the checksum does not match")
	}
	code, err := readBRCode(body, bytePrefix)
	if err != nil && len(body) != utf8.RuneCountInString(body) {
		// Some issuers count an accented letter as one.
		if counted, runeErr := readBRCode(body, runePrefix); runeErr == nil {
			return counted, nil
		}
	}
	return code, err
}

// Encode returns the text of the code with its checksum. It fails if a field is too long, has a
// control character, or begins or ends with a space, if the merchant's name or city is missing, or
// unless exactly one of URL and Key is set; a code read by [ParseBRCode] may also have neither, if
// it carries the link of a recurring payment. Every error wraps [ErrInvalidBRCode] and none repeats
// a field.
//
// Parsing the result gives an equal code, in which an absent TxID or
// MerchantCategory is empty.
func (c BRCode) Encode() (string, error) {
	if err := c.validate(); err != nil {
		return "", err
	}

	account, err := joinObjects(c.unknownAccount,
		dataObject{idScheme, schemePIX},
		dataObject{idKey, c.Key},
		dataObject{idDescription, c.Description},
		dataObject{idURL, c.URL},
	)
	if err != nil {
		return "", err
	}
	additional, err := joinObjects(c.unknownAdditional, dataObject{idTxID, orElse(c.TxID, noTxID)})
	if err != nil {
		return "", err
	}
	known := []dataObject{
		{idFormat, formatValue},
		{orElse(c.accountID, idFirstAccount), account},
		{idMerchantCategory, orElse(c.MerchantCategory, noMerchantCode)},
		{idCurrency, currencyBRL},
		{idCountry, countryBrazil},
		{idMerchantName, c.MerchantName},
		{idMerchantCity, c.MerchantCity},
		{idPostalCode, c.PostalCode},
		{idAdditional, additional},
	}
	if c.SingleUse {
		known = append(known, dataObject{idInitiation, initiationOnce})
	}
	if !c.Amount.IsZero() {
		known = append(known, dataObject{idAmount, c.Amount.String()})
	}
	text, err := joinObjects(c.unknown, known...)
	if err != nil {
		return "", err
	}
	text += checksumHeader
	text += checksum(text)
	if len(text) > maxBRCode {
		return "", brCodeError("it is longer than %d bytes", maxBRCode)
	}
	return text, nil
}

func (c BRCode) validate() error {
	fields := []struct {
		name     string
		value    string
		limit    int
		required bool
	}{
		{"URL", c.URL, maxBRCodeURL, false},
		{"key", c.Key, maxKeyLength, false},
		{"description", c.Description, maxBRCodeValue, false},
		{"merchant name", c.MerchantName, maxBRCodeMerchantName, true},
		{"merchant city", c.MerchantCity, maxBRCodeMerchantCity, true},
		{"postal code", c.PostalCode, maxBRCodePostalCode, false},
	}
	for _, field := range fields {
		switch {
		case field.required && field.value == "":
			return brCodeError("the %s is missing", field.name)
		case len(field.value) > field.limit:
			return brCodeError("the %s is longer than %d bytes", field.name, field.limit)
		case !utf8.ValidString(field.value) || strings.ContainsFunc(field.value, unicode.IsControl):
			return brCodeError("the %s has a character that cannot be printed", field.name)
		case strings.TrimSpace(field.value) != field.value:
			// Banks refuse such a code. It comes of cutting a long name.
			return brCodeError("the %s begins or ends with a space", field.name)
		}
	}
	if strings.Contains(c.URL, "://") {
		return brCodeError("the URL has a scheme")
	}
	if c.MerchantCategory != "" && (len(c.MerchantCategory) != 4 || countFunc(c.MerchantCategory, isDigit) != 4) {
		return brCodeError("the merchant category does not have four digits")
	}
	if c.TxID != noTxID && (len(c.TxID) > maxBRCodeTxID || countFunc(c.TxID, isAlphanumeric) != len(c.TxID)) {
		return brCodeError("the TxID is not made of up to %d letters and digits", maxBRCodeTxID)
	}
	if c.Amount.Centavos() < 0 || len(c.Amount.String()) > maxBRCodeAmount {
		return brCodeError("the amount is negative or too large")
	}
	return c.checkPayee()
}

// checkPayee refuses a code that names no payee, or two at once.
func (c BRCode) checkPayee() error {
	if c.URL != "" && c.Key != "" {
		return brCodeError("it has both a URL and a key")
	}
	// Automatic PIX leaves the account empty and puts the link to the
	// recurrence in one of the templates from 80 on.
	recurring := slices.ContainsFunc(c.unknown, func(o dataObject) bool { return o.id >= idFirstTemplate })
	if c.URL == "" && c.Key == "" && !recurring {
		return brCodeError("it has neither a URL nor a key")
	}
	return nil
}

func readBRCode(body string, prefix prefixFunc) (BRCode, error) {
	if !strings.HasPrefix(body, idFormat+"02"+formatValue) {
		return BRCode{}, brCodeError("it does not start with the payload format indicator")
	}
	objects, err := splitObjects(body, prefix)
	if err != nil {
		return BRCode{}, err
	}
	var c BRCode
	var currency, country string
	for _, o := range objects {
		switch o.id {
		case idFormat:
		case idInitiation:
			c.SingleUse = o.value == initiationOnce
			if !c.SingleUse && o.value != initiationMany {
				err = brCodeError("the point of initiation is neither 11 nor 12")
			}
		case idMerchantCategory:
			c.MerchantCategory = emptyIf(o.value, noMerchantCode)
		case idCurrency:
			currency = o.value
		case idAmount:
			c.Amount, err = readBRCodeAmount(o.value)
		case idCountry:
			country = o.value
		case idMerchantName:
			c.MerchantName = o.value
		case idMerchantCity:
			c.MerchantCity = o.value
		case idPostalCode:
			c.PostalCode = o.value
		case idAdditional:
			err = c.readAdditional(o.value, prefix)
		case idChecksum:
			err = brCodeError("the checksum is not the last object")
		default:
			if idFirstAccount <= o.id && o.id <= idLastAccount {
				err = c.readAccount(o, prefix)
			} else {
				c.unknown = append(c.unknown, o)
			}
		}
		if err != nil {
			return BRCode{}, err
		}
	}
	if c.accountID == "" {
		return BRCode{}, brCodeError("it has no PIX account")
	}
	if currency != currencyBRL || country != countryBrazil {
		return BRCode{}, brCodeError("its currency and country are not those of Brazil")
	}
	if err := c.checkPayee(); err != nil {
		return BRCode{}, err
	}
	// A code in the usual template equals the literal that builds it.
	c.accountID = emptyIf(c.accountID, idFirstAccount)
	return c, nil
}

func readBRCodeAmount(value string) (Amount, error) {
	amount, err := ParseAmount(value)
	if err != nil || amount.Centavos() < 0 || len(value) > maxBRCodeAmount {
		return Amount{}, brCodeError("the amount is not a sum in reais")
	}
	return amount, nil
}

func (c *BRCode) readAccount(template dataObject, prefix prefixFunc) error {
	objects, err := splitObjects(template.value, prefix)
	if err != nil {
		return err
	}
	isPIX := slices.ContainsFunc(objects, func(o dataObject) bool {
		return o.id == idScheme && strings.EqualFold(o.value, schemePIX)
	})
	if !isPIX {
		c.unknown = append(c.unknown, template)
		return nil
	}
	if c.accountID != "" {
		return brCodeError("it has two PIX accounts")
	}
	c.accountID = template.id
	for _, o := range objects {
		switch o.id {
		case idScheme:
		case idKey:
			c.Key = o.value
		case idDescription:
			c.Description = o.value
		case idURL:
			c.URL = o.value
		default:
			c.unknownAccount = append(c.unknownAccount, o)
		}
	}
	return nil
}

func (c *BRCode) readAdditional(value string, prefix prefixFunc) error {
	objects, err := splitObjects(value, prefix)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if o.id == idTxID {
			c.TxID = emptyIf(o.value, noTxID)
		} else {
			c.unknownAdditional = append(c.unknownAdditional, o)
		}
	}
	return nil
}

// dataObject is one entry of the text: two digits of identifier, two digits of
// length and the value.
type dataObject struct{ id, value string }

// prefixFunc splits s after n units, and reports false if s has fewer.
type prefixFunc func(s string, n int) (prefix, rest string, ok bool)

func bytePrefix(s string, n int) (prefix, rest string, ok bool) {
	if n > len(s) {
		return "", "", false
	}
	return s[:n], s[n:], true
}

func runePrefix(s string, n int) (prefix, rest string, ok bool) {
	end := 0
	for range n {
		_, size := utf8.DecodeRuneInString(s[end:])
		if size == 0 {
			return "", "", false
		}
		end += size
	}
	return s[:end], s[end:], true
}

// splitObjects returns the objects that make up the whole of s in the order of
// their identifiers, each of which may occur once: readers that disagree on
// which of two counts would pay different people.
func splitObjects(s string, prefix prefixFunc) ([]dataObject, error) {
	var objects []dataObject
	for s != "" {
		if len(s) < 4 || countFunc(s[:4], isDigit) != 4 {
			return nil, brCodeError("a data object does not start with its identifier and length")
		}
		id := s[:2]
		length := int(s[2]-'0')*10 + int(s[3]-'0')
		value, rest, ok := prefix(s[4:], length)
		if !ok {
			return nil, brCodeError("a data object is longer than the text that holds it")
		}
		objects = append(objects, dataObject{id, value})
		s = rest
	}
	slices.SortFunc(objects, compareObjects)
	for i := 1; i < len(objects); i++ {
		if objects[i].id == objects[i-1].id {
			return nil, brCodeError("a data object occurs twice")
		}
	}
	return objects, nil
}

// joinObjects writes the unknown objects and those of known that have a value,
// in the order of their identifiers.
func joinObjects(unknown []dataObject, known ...dataObject) (string, error) {
	objects := slices.Clone(unknown)
	for _, o := range known {
		if o.value != "" {
			objects = append(objects, o)
		}
	}
	slices.SortFunc(objects, compareObjects)
	var b strings.Builder
	for _, o := range objects {
		if len(o.value) > maxBRCodeValue {
			return "", brCodeError("data object %s is longer than %d bytes", o.id, maxBRCodeValue)
		}
		fmt.Fprintf(&b, "%s%02d%s", o.id, len(o.value), o.value)
	}
	return b.String(), nil
}

func compareObjects(a, b dataObject) int { return strings.Compare(a.id, b.id) }

// checksum returns the CRC-16/CCITT-FALSE of s as four upper-case hexadecimal
// digits.
func checksum(s string) string {
	crc := uint16(0xFFFF)
	for i := range len(s) {
		crc ^= uint16(s[i]) << 8
		for range 8 {
			carry := crc & 0x8000
			crc <<= 1
			if carry != 0 {
				crc ^= 0x1021
			}
		}
	}
	return fmt.Sprintf("%04X", crc)
}

func emptyIf(value, absent string) string {
	if value == absent {
		return ""
	}
	return value
}

func orElse(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

func brCodeError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalidBRCode}, args...)...)
}
