package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
)

// bare is a text without what may be put between its letters and digits.
func bare(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, text)
}

// A gateway may say anything, also what it has just been told in confidence.
func TestNoSecretAndNoPersonalDataIsPrintedHoweverTheGatewayEchoesIt(t *testing.T) {
	canaries := map[string]func(*http.Request) string{
		"the token":     func(r *http.Request) string { return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") },
		"the signature": func(r *http.Request) string { return r.Header.Get("DigitalSignature") },
	}
	for _, name := range []string{
		"CLIENT_SECRET", "APPLICATION_TOKEN", "CRYPTO_TOKEN", "TEST_PAYEE_NAME", "TEST_PAYEE_DOCUMENT", "TEST_PAYEE_PIX_KEY",
	} {
		canaries[name] = func(*http.Request) string { return os.Getenv("CONNECTPSP_" + name) }
	}
	forms := map[string]func(string) string{
		"as it is":    func(text string) string { return text },
		"in capitals": strings.ToUpper,
		"as a code":   func(text string) string { return "A_" + strings.ToUpper(bare(text)) },
		"in an URL":   url.QueryEscape,
		"punctuated": func(text string) string {
			return strings.Join(strings.Split(bare(text)[:min(len(bare(text)), 60)], ""), ".")
		},
	}
	for name, canary := range canaries {
		for form, write := range forms {
			t.Run(name+" "+form, func(t *testing.T) {
				var told []string
				echo := func(r *http.Request, answer *httptest.ResponseRecorder) {
					secret := canary(r)
					if secret == "" || r.URL.Path == "/auth/token" {
						return
					}
					told = append(told, secret)
					text := strings.ReplaceAll(write(secret), `"`, "")
					answer.Header().Set("X-"+strings.ReplaceAll(text, " ", "-"), text)
					if answer.Code >= 400 {
						answer.Header().Set("Content-Type", "application/problem+json")
						answer.Body = bytes.NewBufferString(fmt.Sprintf(
							`{"type":"https://example.com/%[1]s","title":"%[1]s","status":422,"code":"%[1]s","detail":"%[1]s","%[1]s":"%[1]s"}`, text))
						return
					}
					body := strings.Replace(answer.Body.String(), "{", fmt.Sprintf(`{"%[1]s":{"%[1]s":1},`, text), 1)
					for _, old := range []string{"AWAITING_PAYMENT", "PROCESSING", "BRL"} {
						body = strings.ReplaceAll(body, `"`+old+`"`, `"`+text+`"`)
					}
					answer.Body = bytes.NewBufferString(body)
				}
				_, printed, err := against(t, echo, "-move-money")
				printed += fmt.Sprint(err)
				assert.NotEmpty(t, told)
				for _, secret := range told {
					known := bare(secret)
					assert.NotContains(t, bare(printed), known[:min(len(known), 60)], "in:\n%s", printed)
				}
			})
		}
	}
}

// Other people's names are known to nobody here. What does not look like the name of a field is not
// told.
func TestOnlyTextsThatLookLikeFieldNamesArePrinted(t *testing.T) {
	for name, told := range map[string]bool{
		"feeInCents": true, "X-Ratelimit-Remaining": true, "ON_HOLD": true, "$id": true,
		"João da Silva": false, "joao@example.com": false, "12345678909": false, "cpf_12345678909": false, "": false, "a\nb": false,
	} {
		assert.Equal(t, told, named(name) == name, name)
	}
	assert.Equal(t, "/banks/[]/(not like a name)/x", namedPointer("/banks/[]/123/x"))
}
