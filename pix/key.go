package pix

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unique"
)

// ErrInvalidKey is wrapped by every error of [ParseKey].
var ErrInvalidKey = errors.New("pix: invalid key")

// KeyType is the type of a PIX key. The central bank may add types, so a value
// outside the constants is not an error where one is only read; [ParseKey]
// refuses it because it has no rule to check it by.
type KeyType string

const (
	// KeyTypeCPF is a key that is the CPF of its owner.
	KeyTypeCPF KeyType = "CPF"
	// KeyTypeCNPJ is a key that is the CNPJ of its owner.
	KeyTypeCNPJ KeyType = "CNPJ"
	// KeyTypeEmail is an e-mail address.
	KeyTypeEmail KeyType = "EMAIL"
	// KeyTypePhone is a phone number with its country code, +5511987654321.
	KeyTypePhone KeyType = "PHONE"
	// KeyTypeEVP is a random key in the form of a UUID.
	KeyTypeEVP KeyType = "EVP"
)

// maxKeyLength is the size limit of the central bank's key directory.
const maxKeyLength = 77

// Key is a PIX key that has the form its type requires. Whether it is
// registered is known only to the key directory.
//
// A key is personal data, so it prints masked everywhere except in [Key.Text];
// in particular, encoding it as JSON gives the mask. The zero value holds no
// key: its Type, Text and String are empty. Values are immutable and may be
// shared; two keys are equal when == says so.
type Key struct {
	keyType KeyType
	text    unique.Handle[string]
}

// ParseKey reads a key of type t. Spaces around it are removed, and the ASCII
// letters of an e-mail address or a random key are lowered, because the
// directory holds them so. Nothing else is changed: a CPF or CNPJ key has no
// punctuation and right check digits, and a phone number begins with + and its
// country code.
//
// The type is never guessed from the text, and +55 is never added: eleven
// digits may be both a mobile number and the CPF of somebody else, who would
// then receive the money.
//
// Every error wraps [ErrInvalidKey] and the [Reason], and none repeats s.
func ParseKey(t KeyType, s string) (Key, error) {
	s = strings.TrimSpace(s)
	if t == KeyTypeEmail || t == KeyTypeEVP {
		s = lowerASCII(s)
	}
	if reason := keyReason(t, s); reason != "" {
		return Key{}, fmt.Errorf("%w: %w", ErrInvalidKey, reason)
	}
	return Key{keyType: t, text: conceal(s)}, nil
}

// keyReason returns the reason why s is not a key of type t, or "" if it is one.
func keyReason(t KeyType, s string) Reason {
	var reason Reason
	switch t {
	case KeyTypeCPF:
		reason = documentReason(s, cpfLength)
	case KeyTypeCNPJ:
		reason = documentReason(s, cnpjLength)
	case KeyTypeEmail:
		reason = emailReason(s)
	case KeyTypePhone:
		reason = phoneReason(s)
	case KeyTypeEVP:
		if !isEVP(s) {
			reason = ReasonEVP
		}
	default:
		return ReasonKeyType
	}
	switch {
	case s == "":
		return ReasonEmpty
	case len(s) > maxKeyLength:
		return ReasonKeyLength
	}
	return reason
}

// Type returns the type given to [ParseKey].
func (k Key) Type() KeyType { return k.keyType }

// Text returns the key as the directory knows it. It is the only method that
// reveals it.
func (k Key) Text() string { return reveal(k.text) }

// String returns the key masked for a log, such as "***.456.789-**",
// "m***@example.com", "***4321" for a phone number or "123e***4000" for a
// random key.
func (k Key) String() string {
	text := k.Text()
	switch k.keyType {
	case KeyTypeCPF, KeyTypeCNPJ:
		return maskDocument(text)
	case KeyTypeEmail:
		return maskEmail(text)
	case KeyTypePhone:
		return maskPhone(text)
	case KeyTypeEVP:
		return text[:4] + "***" + text[len(text)-4:]
	}
	return ""
}

// GoString returns the type and the masked key, for the %#v verb of fmt.
func (k Key) GoString() string {
	if k == (Key{}) {
		return "pix.Key()"
	}
	return "pix.Key(" + string(k.keyType) + " " + k.String() + ")"
}

// LogValue returns the masked key, for log/slog.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText returns the masked key. There is no UnmarshalText: a mask cannot
// be read back. To put a key in a request, use [Key.Text].
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

func maskEmail(address string) string {
	name, domain, _ := strings.Cut(address, "@")
	if len(name) == 1 {
		// Its first letter would be the whole name.
		name = ""
	}
	return name[:min(1, len(name))] + "***@" + domain
}

func maskPhone(number string) string {
	const shown = 4
	if len(number) <= 2*shown {
		return "***"
	}
	return "***" + number[len(number)-shown:]
}

// These hold a text against the patterns of the central bank's key directory
// (DICT), which stand in the tests: package regexp would be a tenth of what the
// SDK adds to a program. No Reason means that the text matches.

func emailReason(s string) Reason {
	name, domain, found := strings.Cut(s, "@")
	switch {
	case !found:
		return ReasonEmailAt
	case name == "":
		return ReasonEmailName
	}
	for i := range len(name) {
		if c := name[i]; !isLowerOrDigit(c) && !strings.Contains(".!#$&'*+/=?^_`{|}~-", name[i:i+1]) {
			return ReasonEmailName
		}
	}
	for label := range strings.SplitSeq(domain, ".") {
		if len(label) < 1 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return ReasonEmailDomain
		}
		for i := range len(label) {
			if c := label[i]; !isLowerOrDigit(c) && c != '-' {
				return ReasonEmailDomain
			}
		}
	}
	return ""
}

func phoneReason(s string) Reason {
	digits, found := strings.CutPrefix(s, "+")
	switch {
	case !found || strings.HasPrefix(digits, "0"):
		return ReasonPhoneCountry
	case len(digits) < 3 || len(digits) > 16 || countFunc(digits, isDigit) != len(digits):
		return ReasonPhoneDigits
	}
	return ""
}

// isEVP does not ask for the version of the UUID: random keys need not be of
// version 4.
func isEVP(s string) bool {
	const form = "00000000-0000-0000-0000-000000000000"
	if len(s) != len(form) {
		return false
	}
	for i := range len(s) {
		hex := isDigit(s[i]) || 'a' <= s[i] && s[i] <= 'f'
		if form[i] == '-' && s[i] != '-' || form[i] == '0' && !hex {
			return false
		}
	}
	return true
}

func isLowerOrDigit(c byte) bool { return 'a' <= c && c <= 'z' || isDigit(c) }

// lowerASCII lowers A to Z only. Lowering all of Unicode would turn the Kelvin
// sign into a plain k, and so one address into another.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
