package pix_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
)

var keyTypes = []pix.KeyType{
	pix.KeyTypeCPF, pix.KeyTypeCNPJ, pix.KeyTypeEmail, pix.KeyTypePhone, pix.KeyTypeEVP,
}

var longestEmail = strings.Repeat("a", 77-len("@b.br")) + "@b.br"

var validKeys = []struct {
	keyType    pix.KeyType
	text, mask string
}{
	{pix.KeyTypeCPF, "12345678909", "***.456.789-**"},
	{pix.KeyTypeCNPJ, "00000000000191", "**.000.000/****-**"},
	{pix.KeyTypeCNPJ, "12ABC34501DE35", "**.ABC.345/****-**"},
	{pix.KeyTypeEmail, "pix@bcb.gov.br", "p***@bcb.gov.br"},
	{pix.KeyTypeEmail, "fulano_da.silva+recebedor@example.com", "f***@example.com"},
	{pix.KeyTypeEmail, "a@b", "***@b"},
	{pix.KeyTypeEmail, "!#$&'*+/=?^_`{|}~-@x-y.br", "!***@x-y.br"},
	{pix.KeyTypeEmail, longestEmail, "a***@b.br"},
	{pix.KeyTypeEmail, "*@000", "***@000"},
	{pix.KeyTypePhone, "+5510998765432", "***5432"},
	{pix.KeyTypePhone, "+5511987654321", "***4321"},
	{pix.KeyTypePhone, "+551133334444", "***4444"},
	{pix.KeyTypePhone, "+12025550123", "***0123"},
	{pix.KeyTypePhone, "+123", "***"},
	{pix.KeyTypePhone, "+1234567", "***"},
	{pix.KeyTypeEVP, "123e4567-e12b-12d1-a456-426655440000", "123e***0000"},
}

var invalidKeys = []struct {
	keyType pix.KeyType
	text    string
}{
	{pix.KeyTypeCPF, "12345678901"},
	{pix.KeyTypeCPF, "123.456.789-09"},
	{pix.KeyTypeCPF, "1234567890"},
	{pix.KeyTypeCPF, "11111111111"},
	{pix.KeyTypeCPF, "00000000000191"},
	{pix.KeyTypeCPF, "+5511987654321"},
	{pix.KeyTypeCNPJ, "00000000000192"},
	{pix.KeyTypeCNPJ, "00.000.000/0001-91"},
	{pix.KeyTypeCNPJ, "12abc34501de35"},
	{pix.KeyTypeCNPJ, "12abc34501de05"}, // its check digits are right
	{pix.KeyTypeCNPJ, "00000000000000"},
	{pix.KeyTypeCNPJ, "12345678909"},
	{pix.KeyTypeEmail, "a%b@c.br"},
	{pix.KeyTypeEmail, "pix bcb@gov.br"},
	{pix.KeyTypeEmail, "@bcb.gov.br"},
	{pix.KeyTypeEmail, "pix@"},
	{pix.KeyTypeEmail, "pix@bcb..br"},
	{pix.KeyTypeEmail, "pix@-bcb.br"},
	{pix.KeyTypeEmail, "pix@bcb-.br"},
	{pix.KeyTypeEmail, "pix@bcb.gov.br\nx"},
	{pix.KeyTypeEmail, "joão@bcb.gov.br"},
	{pix.KeyTypeEmail, "\u212A@bcb.gov.br"},
	{pix.KeyTypeEmail, "\xff@bcb.gov.br"},
	{pix.KeyTypeEmail, "pix@" + strings.Repeat("b", 64)},
	{pix.KeyTypeEmail, "a" + longestEmail},
	{pix.KeyTypePhone, "5511987654321"},
	{pix.KeyTypePhone, "11987654321"},
	{pix.KeyTypePhone, "+0511987654321"},
	{pix.KeyTypePhone, "+55 11 98765-4321"},
	{pix.KeyTypePhone, "+12"},
	{pix.KeyTypePhone, "+12345678901234567"},
	{pix.KeyTypePhone, "+５511987654321"},
	{pix.KeyTypeEVP, "123e4567e12b12d1a456426655440000"},
	{pix.KeyTypeEVP, "123e4567-e12b-12d1-a456-42665544000"},
	{pix.KeyTypeEVP, "123e4567-e12b-12d1-a456-4266554400000"},
	{pix.KeyTypeEVP, "123e4567-e12b-12d1-a456-426655440000\nx"},
	{pix.KeyTypeEVP, "x123e4567-e12b-12d1-a456-426655440000"},
	{pix.KeyTypeEVP, "g23e4567-e12b-12d1-a456-426655440000"},
	{pix.KeyTypeEVP, "{123e4567-e12b-12d1-a456-426655440000}"},
	{"EMAILS", "pix@bcb.gov.br"},
	{"cpf", "12345678909"},
	{"", "12345678909"},
}

func TestKeyHasTheFormOfItsType(t *testing.T) {
	for _, c := range validKeys {
		key, err := pix.ParseKey(c.keyType, c.text)
		require.NoError(t, err, c.text)
		assert.Equal(t, c.keyType, key.Type())
		assert.Equal(t, c.text, key.Text())
	}
	for _, c := range invalidKeys {
		key, err := pix.ParseKey(c.keyType, c.text)
		require.ErrorIs(t, err, pix.ErrInvalidKey, "%s %q", c.keyType, c.text)
		assert.Zero(t, key)
		assert.NotContains(t, err.Error(), c.text)
	}
}

func TestKeyIsNeverEmpty(t *testing.T) {
	for _, keyType := range keyTypes {
		for _, text := range []string{"", " ", "\t\n"} {
			_, err := pix.ParseKey(keyType, text)
			assert.ErrorIs(t, err, pix.ErrInvalidKey)
		}
	}
}

func TestKeyIsWrittenAsTheDirectoryKnowsIt(t *testing.T) {
	for _, c := range []struct {
		keyType    pix.KeyType
		text, want string
	}{
		{pix.KeyTypeCPF, " 12345678909\n", "12345678909"},
		{pix.KeyTypeEmail, " Pix@BCB.gov.br ", "pix@bcb.gov.br"},
		{pix.KeyTypePhone, "\t+5511987654321", "+5511987654321"},
		{pix.KeyTypeEVP, "123E4567-E12B-12D1-A456-426655440000", "123e4567-e12b-12d1-a456-426655440000"},
	} {
		key, err := pix.ParseKey(c.keyType, c.text)
		require.NoError(t, err)
		assert.Equal(t, c.want, key.Text())
	}
}

func TestKeyTypeIsNeverGuessed(t *testing.T) {
	// A mobile number of São Paulo that is also a CPF.
	const ambiguous = "11912345684"

	key, err := pix.ParseKey(pix.KeyTypeCPF, ambiguous)
	require.NoError(t, err)
	assert.Equal(t, pix.KeyTypeCPF, key.Type())

	_, err = pix.ParseKey(pix.KeyTypePhone, ambiguous)
	assert.ErrorIs(t, err, pix.ErrInvalidKey)
}

func TestKeyPrintsMaskedEverywhere(t *testing.T) {
	for _, c := range validKeys {
		key, err := pix.ParseKey(c.keyType, c.text)
		require.NoError(t, err)
		assert.Equal(t, c.mask, key.String())
		assert.Equal(t, "pix.Key("+string(c.keyType)+" "+c.mask+")", fmt.Sprintf("%#v", key))
	}
	for _, c := range []struct {
		keyType    pix.KeyType
		text, mask string
	}{
		{pix.KeyTypeCPF, "12345678909", "***.456.789-**"},
		{pix.KeyTypeEmail, "maria@example.com", "m***@example.com"},
		{pix.KeyTypePhone, "+5511987654321", "***4321"},
	} {
		key, err := pix.ParseKey(c.keyType, c.text)
		require.NoError(t, err)
		assertHidden(t, c.text, c.mask, key, struct{ hidden pix.Key }{key})
	}
}

func TestKeyZeroValueIsEmpty(t *testing.T) {
	var key pix.Key
	assert.Empty(t, key.Type())
	assert.Empty(t, key.Text())
	assert.Empty(t, key.String())
	assert.Equal(t, "pix.Key()", key.GoString())
}

func TestKeysOfTheSameTextAndTypeAreEqual(t *testing.T) {
	lower, err := pix.ParseKey(pix.KeyTypeEmail, "maria@example.com")
	require.NoError(t, err)
	upper, err := pix.ParseKey(pix.KeyTypeEmail, "MARIA@EXAMPLE.COM")
	require.NoError(t, err)
	assert.True(t, lower == upper)
}

func ExampleParseKey() {
	key, err := pix.ParseKey(pix.KeyTypeEmail, " Maria@Example.com ")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(key.Type(), key)
	fmt.Println(key.Text())

	_, err = pix.ParseKey(pix.KeyTypePhone, "11987654321")
	fmt.Println(err)
	// Output:
	// EMAIL m***@example.com
	// maria@example.com
	// pix: invalid key: a phone key is + and digits, starting with the country code
}

func FuzzParseKey(f *testing.F) {
	for _, c := range validKeys {
		f.Add(string(c.keyType), c.text)
	}
	for _, c := range invalidKeys {
		f.Add(string(c.keyType), c.text)
	}
	f.Fuzz(func(t *testing.T, keyType, text string) {
		key, err := pix.ParseKey(pix.KeyType(keyType), text)
		if err != nil {
			require.ErrorIs(t, err, pix.ErrInvalidKey)
			require.NotEmpty(t, reasonOf(t, err))
			require.Zero(t, key)
			return
		}
		require.Contains(t, keyTypes, key.Type())
		require.LessOrEqual(t, len(key.Text()), 77)
		require.True(t, strings.EqualFold(strings.TrimSpace(text), key.Text()))
		if !strings.Contains(key.Text(), "*") { // which could look like a mask itself
			require.NotContains(t, key.String(), key.Text())
		}
		again, err := pix.ParseKey(key.Type(), key.Text())
		require.NoError(t, err)
		require.Equal(t, key, again)
	})
}
