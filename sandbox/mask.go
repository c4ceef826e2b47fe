package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"github.com/connectpsp/connectpsp-go/idempotency"
)

// plainHeaders are headers that have neither secrets nor personal data.
var plainHeaders = []string{
	"Accept", "Accept-Encoding", "Content-Length", "Content-Type", "Traceparent", "User-Agent", idempotency.Header,
}

// plainMembers are members of requests that have neither secrets nor personal data.
var plainMembers = []string{
	"amount", "externalReference", "expirationInMinutes", "targetAmount", "reason", "type", "pixKeyType", "accountType", "ispb",
}

// maskBody returns a body with masks for all but the plain members.
func maskBody(body []byte) string {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil || decoder.More() {
		return fmt.Sprintf("[%d bytes that are not JSON]", len(body))
	}
	masked, _ := json.Marshal(mask(value, false)) // what was decoded can be encoded
	return string(masked)
}

// mask returns a value with masks for its texts and numbers, unless it is plain. Objects and arrays
// keep their form.
func mask(value any, plain bool) any {
	switch value := value.(type) {
	case map[string]any:
		masked := make(map[string]any, len(value))
		for name, member := range value {
			masked[maskDigits(name)] = mask(member, slices.Contains(plainMembers, name))
		}
		return masked
	case []any:
		masked := make([]any, len(value))
		for i, element := range value {
			masked[i] = mask(element, false)
		}
		return masked
	case nil, bool:
		return value
	}
	if plain {
		return value
	}
	return "[redacted]"
}

var elevenDigits = regexp.MustCompile(`(^|[^0-9A-Za-z])([0-9]{11}|[0-9]{14})($|[^0-9A-Za-z])`)

// maskDigits masks what may be a CPF or a CNPJ.
func maskDigits(text string) string { return elevenDigits.ReplaceAllString(text, "$1[redacted]$3") }
