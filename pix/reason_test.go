package pix_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
)

var refusedKeys = []struct {
	keyType pix.KeyType
	text    string
	reason  pix.Reason
}{
	{pix.KeyTypeCPF, "", pix.ReasonEmpty},
	{pix.KeyTypeCPF, " \t", pix.ReasonEmpty},
	{pix.KeyTypeCPF, "123.456.789-09", pix.ReasonDocumentPunctuation},
	{pix.KeyTypeCPF, "123 456 789 09", pix.ReasonDocumentPunctuation},
	{pix.KeyTypeCPF, "123.456", pix.ReasonDocumentPunctuation},
	{pix.KeyTypeCPF, "1234567890A", pix.ReasonDocumentCharacter},
	{pix.KeyTypeCPF, "1234567890\uff19", pix.ReasonDocumentCharacter},
	{pix.KeyTypeCPF, "maria", pix.ReasonDocumentCharacter},
	{pix.KeyTypeCPF, "1234567890", pix.ReasonDocumentLength},
	{pix.KeyTypeCPF, "123456789090", pix.ReasonDocumentLength},
	{pix.KeyTypeCPF, "00000000000191", pix.ReasonDocumentLength},
	{pix.KeyTypeCPF, "12345678900", pix.ReasonDocumentCheckDigits},
	{pix.KeyTypeCPF, "11111111112", pix.ReasonDocumentCheckDigits},
	{pix.KeyTypeCPF, "11111111111", pix.ReasonDocumentFiller},
	{pix.KeyTypeCPF, strings.Repeat("1", 78), pix.ReasonKeyLength},
	{pix.KeyTypeCNPJ, "", pix.ReasonEmpty},
	{pix.KeyTypeCNPJ, "00.000.000/0001-91", pix.ReasonDocumentPunctuation},
	{pix.KeyTypeCNPJ, "12.abc.345/01de-35", pix.ReasonDocumentPunctuation},
	{pix.KeyTypeCNPJ, "12abc34501de35", pix.ReasonDocumentLowerCase},
	{pix.KeyTypeCNPJ, "12ABC34501DE3A", pix.ReasonDocumentCharacter},
	{pix.KeyTypeCNPJ, "0000000000019\u00e9", pix.ReasonDocumentCharacter},
	{pix.KeyTypeCNPJ, "12345678909", pix.ReasonDocumentLength},
	{pix.KeyTypeCNPJ, "00000000000192", pix.ReasonDocumentCheckDigits},
	{pix.KeyTypeCNPJ, "11111111111111", pix.ReasonDocumentCheckDigits},
	{pix.KeyTypeCNPJ, "00000000000000", pix.ReasonDocumentFiller},
	{pix.KeyTypeCNPJ, "AAAAAAAAAAAA45", pix.ReasonDocumentFiller},
	{pix.KeyTypeEmail, "", pix.ReasonEmpty},
	{pix.KeyTypeEmail, "maria.example.com", pix.ReasonEmailAt},
	{pix.KeyTypeEmail, "@example.com", pix.ReasonEmailName},
	{pix.KeyTypeEmail, "jo\u00e3o@example.com", pix.ReasonEmailName},
	{pix.KeyTypeEmail, "maria silva@example.com", pix.ReasonEmailName},
	{pix.KeyTypeEmail, "a%b@example.com", pix.ReasonEmailName},
	{pix.KeyTypeEmail, "maria@", pix.ReasonEmailDomain},
	{pix.KeyTypeEmail, "maria@example..com", pix.ReasonEmailDomain},
	{pix.KeyTypeEmail, "maria@example.com.", pix.ReasonEmailDomain},
	{pix.KeyTypeEmail, "maria@silva@example.com", pix.ReasonEmailDomain},
	{pix.KeyTypeEmail, "a" + longestEmail, pix.ReasonKeyLength},
	{pix.KeyTypePhone, "", pix.ReasonEmpty},
	{pix.KeyTypePhone, "11987654321", pix.ReasonPhoneCountry},
	{pix.KeyTypePhone, "(11) 98765-4321", pix.ReasonPhoneCountry},
	{pix.KeyTypePhone, "5511987654321", pix.ReasonPhoneCountry},
	{pix.KeyTypePhone, "+011987654321", pix.ReasonPhoneCountry},
	{pix.KeyTypePhone, "+", pix.ReasonPhoneDigits},
	{pix.KeyTypePhone, "+55 11 98765-4321", pix.ReasonPhoneDigits},
	{pix.KeyTypePhone, "+12", pix.ReasonPhoneDigits},
	{pix.KeyTypePhone, "+12345678901234567", pix.ReasonPhoneDigits},
	{pix.KeyTypeEVP, "", pix.ReasonEmpty},
	{pix.KeyTypeEVP, "123e4567e12b12d1a456426655440000", pix.ReasonEVP},
	{"", "", pix.ReasonKeyType},
	{"cpf", "12345678909", pix.ReasonKeyType},
}

func TestAKeyIsRefusedWithTheExactReason(t *testing.T) {
	for _, c := range refusedKeys {
		_, err := pix.ParseKey(c.keyType, c.text)
		assert.ErrorIs(t, err, pix.ErrInvalidKey)
		assert.Equal(t, c.reason, reasonOf(t, err), "%s %q", c.keyType, c.text)
	}
}

func TestADocumentIsRefusedWithTheExactReason(t *testing.T) {
	for text, reason := range map[string]pix.Reason{
		"":                    pix.ReasonEmpty,
		" 12345678909":        pix.ReasonDocumentPunctuation,
		"123.456.78909":       pix.ReasonDocumentPunctuation,
		"123-456-789-09":      pix.ReasonDocumentPunctuation,
		"00.000.000/000191":   pix.ReasonDocumentPunctuation,
		"12345678909\n":       pix.ReasonDocumentCharacter,
		"1234567890A":         pix.ReasonDocumentCharacter,
		"12ABC34501DE3A":      pix.ReasonDocumentCharacter,
		"1":                   pix.ReasonDocumentLength,
		"123456789012":        pix.ReasonDocumentLength,
		"12abc34501de05":      pix.ReasonDocumentLowerCase,
		"12.abc.345/01de-35":  pix.ReasonDocumentLowerCase,
		"123.456.789-00":      pix.ReasonDocumentCheckDigits,
		"00000000000192":      pix.ReasonDocumentCheckDigits,
		"111.111.111-11":      pix.ReasonDocumentFiller,
		"00.000.000/0000-00":  pix.ReasonDocumentFiller,
		"AA.AAA.AAA/AAAA-45":  pix.ReasonDocumentFiller,
		"maria@example.com":   pix.ReasonDocumentCharacter,
		"00000000000000.0000": pix.ReasonDocumentPunctuation,
	} {
		_, err := pix.ParseDocument(text)
		assert.ErrorIs(t, err, pix.ErrInvalidDocument)
		assert.Equal(t, reason, reasonOf(t, err), "%q", text)
	}
}

func TestEveryReasonHasASentenceAndIsGiven(t *testing.T) {
	given := map[pix.Reason]bool{}
	for _, c := range refusedKeys {
		given[c.reason] = true
	}
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	require.NoError(t, err)
	count := 0
	ast.Inspect(file, func(node ast.Node) bool {
		constant, ok := node.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(constant.Names[0].Name, "Reason") {
			return true
		}
		text, err := strconv.Unquote(constant.Values[0].(*ast.BasicLit).Value)
		require.NoError(t, err)
		count++
		assert.NotEqual(t, text, pix.Reason(text).Error(), "it has no sentence")
		assert.True(t, given[pix.Reason(text)], "no test is refused with %s", text)
		return true
	})
	assert.Len(t, given, count)
	assert.Equal(t, "FROM_A_LATER_VERSION", pix.Reason("FROM_A_LATER_VERSION").Error())
}

func reasonOf(t *testing.T, err error) pix.Reason {
	t.Helper()
	var reason pix.Reason
	require.ErrorAs(t, err, &reason)
	return reason
}

func ExampleReason() {
	texts := map[pix.Reason]string{
		pix.ReasonDocumentCheckDigits: "Confira os números do CPF.",
		pix.ReasonPhoneCountry:        "Comece o telefone com +55.",
	}
	_, err := pix.ParseKey(pix.KeyTypePhone, "11987654321")
	var reason pix.Reason
	if errors.As(err, &reason) {
		fmt.Println(reason == pix.ReasonPhoneCountry, texts[reason])
	}
	// Output: true Comece o telefone com +55.
}
