package pix_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
)

const exampleEVP = "123e4567-e12b-12d1-a456-426655440000"

// These are written exactly as Encode writes them.
var canonicalBRCodes = []struct {
	name, text string
	want       pix.BRCode
}{
	{
		"static without amount",
		"00020126580014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-4266554400005204000053039865802BR5913Fulano de Tal6008BRASILIA62070503***63041D3D",
		pix.BRCode{Key: exampleEVP, MerchantName: "Fulano de Tal", MerchantCity: "BRASILIA"},
	},
	{
		"dynamic for single use",
		"00020101021226700014br.gov.bcb.pix2548pix.example.com/8b3da2f39a4140d1a91abd93113bd4415204000053039865802BR5913Fulano de Tal6008BRASILIA62070503***630464E4",
		pix.BRCode{
			URL: "pix.example.com/8b3da2f39a4140d1a91abd93113bd441", SingleUse: true,
			MerchantName: "Fulano de Tal", MerchantCity: "BRASILIA",
		},
	},
	{
		"dynamic with amount",
		"00020101021226760014br.gov.bcb.pix2554pix.example.com/qr/v2/9d36b84fc70b478fb95c12729b90ca25520400005303986540510.005802BR5912LOJA EXEMPLO6009SAO PAULO62070503***63046663",
		pix.BRCode{
			URL: "pix.example.com/qr/v2/9d36b84fc70b478fb95c12729b90ca25", SingleUse: true, Amount: pix.Centavos(1000),
			MerchantName: "LOJA EXEMPLO", MerchantCity: "SAO PAULO",
		},
	},
	{
		"dynamic without amount",
		"00020101021226760014br.gov.bcb.pix2554pix.example.com/qr/v2/9d36b84fc70b478fb95c12729b90ca255204000053039865802BR5912LOJA EXEMPLO6009SAO PAULO62070503***6304FEA4",
		pix.BRCode{
			URL: "pix.example.com/qr/v2/9d36b84fc70b478fb95c12729b90ca25", SingleUse: true,
			MerchantName: "LOJA EXEMPLO", MerchantCity: "SAO PAULO",
		},
	},
	{
		"static with everything",
		"00020126710014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-4266554400000209pedido 425204000053039865406150.505802BR5912LOJA EXEMPLO6009SAO PAULO61080131010062120508PEDIDO426304547F",
		pix.BRCode{
			Key: exampleEVP, Description: "pedido 42", Amount: pix.Centavos(15050), TxID: "PEDIDO42",
			MerchantName: "LOJA EXEMPLO", MerchantCity: "SAO PAULO", PostalCode: "01310100",
		},
	},
}

// These carry the link of a recurrence in a template this package only keeps.
var recurringBRCodes = []struct{ url, text string }{
	{
		"",
		"00020126180014br.gov.bcb.pix5204000053039865802BR5913Fulano de Tal6008BRASILIA62070503***80800014br.gov.bcb.pix2558pix.example.com/qr/v2/rec/2353c790eefb11eaadc10242ac120002630462C9",
	},
	{
		"pix.example.com/qr/v2/8b3da2f39a4140d1a91abd93113bd441",
		"00020101021226760014br.gov.bcb.pix2554pix.example.com/qr/v2/8b3da2f39a4140d1a91abd93113bd4415204000053039865802BR5913Fulano de Tal6008BRASILIA62070503***80800014br.gov.bcb.pix2558pix.example.com/qr/v2/rec/94ed2badcbc04c15b0bb7fa35319489063047741",
	},
	{
		"pix.example.com/qr/v2/cobv/1e6c54d3ec9449b7a7fc53b6b0f998e7",
		"00020101021226810014br.gov.bcb.pix2559pix.example.com/qr/v2/cobv/1e6c54d3ec9449b7a7fc53b6b0f998e75204000053039865802BR5913Fulano de Tal6008BRASILIA62070503***80800014br.gov.bcb.pix2558pix.example.com/qr/v2/rec/3ffa640fa4f14080adccb949fa2dc0d06304A441",
	},
}

const wholeAmountBRCode = "00020126360014br.gov.bcb.pix0114+5511912345678520400005303986540115802BR5912LOJA EXEMPLO6009SAO PAULO62070503***6304D25E"

// signed completes a text with its checksum.
func signed(body string) string {
	crc := uint16(0xFFFF)
	for _, b := range []byte(body + "6304") {
		for bit := 7; bit >= 0; bit-- {
			top := crc>>15 ^ uint16(b>>bit)&1
			crc <<= 1
			if top == 1 {
				crc ^= 0x1021
			}
		}
	}
	return fmt.Sprintf("%s6304%04X", body, crc)
}

// object writes a data object whose length counts bytes.
func object(id string, parts ...string) string {
	value := strings.Join(parts, "")
	return fmt.Sprintf("%s%02d%s", id, len(value), value)
}

// staticBody is a complete code but for the checksum. The parts given stand
// in its middle, before the currency.
func staticBody(parts ...string) string {
	return object("00", "01") +
		object("26", object("00", "br.gov.bcb.pix"), object("01", exampleEVP)) +
		strings.Join(parts, "") +
		object("53", "986") + object("58", "BR") + object("59", "LOJA") + object("60", "RECIFE")
}

func TestBRCodeIsReadAndWrittenBackUnchanged(t *testing.T) {
	for _, c := range canonicalBRCodes {
		t.Run(c.name, func(t *testing.T) {
			code, err := pix.ParseBRCode(c.text)
			require.NoError(t, err)
			assert.Equal(t, c.want, code)

			text, err := code.Encode()
			require.NoError(t, err)
			assert.Equal(t, c.text, text)

			text, err = c.want.Encode()
			require.NoError(t, err)
			assert.Equal(t, c.text, text)
		})
	}
}

func TestBRCodeIsReadAsItIsCopied(t *testing.T) {
	for _, c := range canonicalBRCodes {
		for _, text := range []string{c.text + "\n", c.text + "\r\n", c.text + " ", " " + c.text, "\n\t" + c.text + "\u00a0", c.text + strings.Repeat("\n", 512)} {
			code, err := pix.ParseBRCode(text)
			require.NoError(t, err, "%q", text)
			assert.Equal(t, c.want, code)
		}
	}
}

func TestBRCodeKeepsARecurrence(t *testing.T) {
	for _, c := range recurringBRCodes {
		code, err := pix.ParseBRCode(c.text)
		require.NoError(t, err)
		assert.Equal(t, c.url, code.URL)
		assert.Empty(t, code.Key)
		text, err := code.Encode()
		require.NoError(t, err)
		assert.Equal(t, c.text, text)
	}
}

func TestBRCodeReadsAnAmountWithoutDecimals(t *testing.T) {
	code, err := pix.ParseBRCode(wholeAmountBRCode)
	require.NoError(t, err)
	assert.Equal(t, pix.Centavos(100), code.Amount)
	assert.Equal(t, "+5511912345678", code.Key)
	text, err := code.Encode()
	require.NoError(t, err)
	assert.Contains(t, text, "54041.00")
}

func TestBRCodeKeepsObjectsItDoesNotKnow(t *testing.T) {
	text := signed(object("00", "01") +
		object("26", object("00", "com.example"), object("01", "other")) +
		object("27", object("00", "br.gov.bcb.pix"), object("01", exampleEVP), object("30", "x")) +
		object("52", "5411") + object("53", "986") + object("58", "BR") +
		object("59", "LOJA") + object("60", "RECIFE") +
		object("62", object("05", "A1"), object("50", "y")) +
		object("64", object("00", "PT"), object("01", "LOJA")) + object("70", ""))
	code, err := pix.ParseBRCode(text)
	require.NoError(t, err)
	assert.Equal(t, exampleEVP, code.Key)
	assert.Equal(t, "A1", code.TxID)
	assert.Equal(t, "5411", code.MerchantCategory)
	again, err := code.Encode()
	require.NoError(t, err)
	assert.Equal(t, text, again)
}

func TestBRCodeIsTolerantOfWhatDoesNotMoveMoney(t *testing.T) {
	long := strings.Repeat("NOME ", 10)
	for name, c := range map[string]struct {
		text string
		want pix.BRCode
	}{
		"lower-case checksum": {
			strings.Replace(canonicalBRCodes[0].text, "63041D3D", "63041d3d", 1), canonicalBRCodes[0].want,
		},
		"upper-case scheme": {
			signed(strings.Replace(staticBody(), "br.gov.bcb.pix", "BR.GOV.BCB.PIX", 1)),
			pix.BRCode{Key: exampleEVP, MerchantName: "LOJA", MerchantCity: "RECIFE"},
		},
		"reusable said aloud": {
			signed(staticBody(object("01", "11"))),
			pix.BRCode{Key: exampleEVP, MerchantName: "LOJA", MerchantCity: "RECIFE"},
		},
		"amount of zero": {
			signed(staticBody(object("54", "0.00"))),
			pix.BRCode{Key: exampleEVP, MerchantName: "LOJA", MerchantCity: "RECIFE"},
		},
		"objects out of order": {
			signed(staticBody(object("62", object("05", "A1")))),
			pix.BRCode{Key: exampleEVP, MerchantName: "LOJA", MerchantCity: "RECIFE", TxID: "A1"},
		},
		"label on a dynamic code": {
			signed(object("00", "01") + object("26", object("00", "br.gov.bcb.pix"), object("25", "a.br/1")) +
				object("53", "986") + object("54", "1.00") + object("58", "BR") + object("59", "LOJA") +
				object("60", "RECIFE") + object("62", object("05", "ABCDEFGHIJKLMNOPQRSTUVWXY"))),
			pix.BRCode{
				URL: "a.br/1", Amount: pix.Centavos(100), TxID: "ABCDEFGHIJKLMNOPQRSTUVWXY",
				MerchantName: "LOJA", MerchantCity: "RECIFE",
			},
		},
		"no city and a long name": {
			signed(object("00", "01") + object("26", object("00", "br.gov.bcb.pix"), object("01", exampleEVP)) +
				object("53", "986") + object("58", "BR") + object("59", long)),
			pix.BRCode{Key: exampleEVP, MerchantName: long},
		},
	} {
		t.Run(name, func(t *testing.T) {
			code, err := pix.ParseBRCode(c.text)
			require.NoError(t, err)
			assert.Equal(t, c.want, code)
		})
	}
}

func TestBRCodeReadsLengthsInBytesOrInCharacters(t *testing.T) {
	const inBytes, inCharacters = "5908PADARIÃ6010SÃO PAULO", "5907PADARIÃ6009SÃO PAULO"
	body := object("00", "01") + object("26", object("00", "br.gov.bcb.pix"), object("01", exampleEVP)) +
		object("53", "986") + object("58", "BR")
	for _, names := range []string{inBytes, inCharacters} {
		code, err := pix.ParseBRCode(signed(body + names))
		require.NoError(t, err)
		assert.Equal(t, pix.BRCode{Key: exampleEVP, MerchantName: "PADARIÃ", MerchantCity: "SÃO PAULO"}, code)

		text, err := code.Encode()
		require.NoError(t, err)
		assert.Contains(t, text, inBytes)
		again, err := pix.ParseBRCode(text)
		require.NoError(t, err)
		assert.Equal(t, code, again)
	}
	_, err := pix.ParseBRCode(signed(body + "5908PADARIÃ6009SÃO PAULO"))
	assert.ErrorIs(t, err, pix.ErrInvalidBRCode, "one way of counting must hold for the whole text")
}

func TestBRCodeRefusesDamagedText(t *testing.T) {
	text := canonicalBRCodes[2].text
	for i := range len(text) {
		_, err := pix.ParseBRCode(text[:i])
		assert.ErrorIs(t, err, pix.ErrInvalidBRCode)

		damaged := []byte(text)
		damaged[i] ^= 1
		_, err = pix.ParseBRCode(string(damaged))
		assert.ErrorIs(t, err, pix.ErrInvalidBRCode)
	}
}

func TestBRCodeRefusesWhatCouldMoveMoneyElsewhere(t *testing.T) {
	account := object("26", object("00", "br.gov.bcb.pix"), object("01", exampleEVP))
	tail := object("53", "986") + object("58", "BR")
	for name, text := range map[string]string{
		"empty":                        "",
		"checksum alone":               signed(""),
		"newline within":               strings.Replace(canonicalBRCodes[0].text, "5204", "\n5204", 1),
		"space before the checksum":    strings.Replace(canonicalBRCodes[0].text, "6304", " 6304", 1),
		"not UTF-8":                    signed(staticBody(object("61", "\xff"))),
		"too long":                     signed(staticBody(object("70", strings.Repeat("x", 99)), object("71", strings.Repeat("x", 99)), object("72", strings.Repeat("x", 99)), object("73", strings.Repeat("x", 99)))),
		"no format":                    signed(account + tail),
		"other format":                 signed(object("00", "02") + account + tail),
		"inner length too short":       signed(staticBody("6208" + "0503***0")),
		"inner length too long":        signed(staticBody(object("62", "0504***"))),
		"inner length not a number":    signed(staticBody(object("62", "05x3***"))),
		"account cut short":            signed(object("00", "01") + object("26", object("00", "br.gov.bcb.pix"), "0199x") + tail),
		"identifier not a number":      signed(staticBody("x100")),
		"trailing characters":          signed(staticBody() + "99"),
		"length past the end":          signed(staticBody() + "7010short"),
		"length past the end, accents": signed(staticBody() + "7010curtó"),
		"checksum in the middle":       signed(staticBody(object("63", "0000"))),
		"initiation unknown":           signed(staticBody(object("01", "13"))),
		"two amounts":                  signed(staticBody(object("54", "1.00"), object("54", "2.00"))),
		"two keys":                     signed(object("00", "01") + object("26", object("00", "br.gov.bcb.pix"), object("01", "a"), object("01", "b")) + tail),
		"two accounts":                 signed(staticBody(object("27", object("00", "br.gov.bcb.pix"), object("01", "b")))),
		"two accounts at the end":      signed(staticBody(object("51", object("00", "BR.GOV.BCB.PIX"), object("01", "b")))),
		"key and URL":                  signed(object("00", "01") + object("26", object("00", "br.gov.bcb.pix"), object("01", "a"), object("25", "b.br")) + tail),
		"neither key nor URL":          signed(object("00", "01") + object("26", object("00", "br.gov.bcb.pix")) + tail),
		"no account":                   signed(object("00", "01") + tail),
		"account of another scheme":    signed(object("00", "01") + object("26", object("00", "br.gov.bcb.pic"), object("01", "a")) + tail),
		"currency of another country":  signed(object("00", "01") + account + object("53", "840") + object("58", "BR")),
		"no currency":                  signed(object("00", "01") + account + object("58", "BR")),
		"other country":                signed(object("00", "01") + account + object("53", "986") + object("58", "AR")),
		"third decimal":                signed(staticBody(object("54", "10.001"))),
		"negative amount":              signed(staticBody(object("54", "-1.00"))),
		"decimal comma":                signed(staticBody(object("54", "1,00"))),
		"empty amount":                 signed(staticBody(object("54"))),
		"amount too long":              signed(staticBody(object("54", "99999999999.99"))),
	} {
		t.Run(name, func(t *testing.T) {
			code, err := pix.ParseBRCode(text)
			require.ErrorIs(t, err, pix.ErrInvalidBRCode)
			assert.Zero(t, code)
			assert.NotContains(t, err.Error(), exampleEVP)
		})
	}
}

func TestBRCodeIsNotWrittenWithABadField(t *testing.T) {
	valid := pix.BRCode{Key: exampleEVP, MerchantName: "LOJA", MerchantCity: "RECIFE"}
	_, err := valid.Encode()
	require.NoError(t, err)

	for name, spoil := range map[string]func(*pix.BRCode){
		"zero value":               func(c *pix.BRCode) { *c = pix.BRCode{} },
		"no payee":                 func(c *pix.BRCode) { c.Key = "" },
		"two payees":               func(c *pix.BRCode) { c.URL = "pix.example.com/1" },
		"URL with scheme":          func(c *pix.BRCode) { c.Key, c.URL = "", "https://pix.example.com/1" },
		"URL too long":             func(c *pix.BRCode) { c.Key, c.URL = "", strings.Repeat("u", 78) },
		"key too long":             func(c *pix.BRCode) { c.Key = strings.Repeat("k", 78) },
		"description too long":     func(c *pix.BRCode) { c.Description = strings.Repeat("d", 100) },
		"description and key":      func(c *pix.BRCode) { c.Description = strings.Repeat("d", 42) },
		"no name":                  func(c *pix.BRCode) { c.MerchantName = "" },
		"no city":                  func(c *pix.BRCode) { c.MerchantCity = "" },
		"name too long":            func(c *pix.BRCode) { c.MerchantName = strings.Repeat("n", 26) },
		"city too long":            func(c *pix.BRCode) { c.MerchantCity = strings.Repeat("c", 16) },
		"postal code too long":     func(c *pix.BRCode) { c.PostalCode = "01310-10000" },
		"control character":        func(c *pix.BRCode) { c.MerchantName = "LOJA\n" },
		"name cut after a space":   func(c *pix.BRCode) { c.MerchantName = "LOJA DA " },
		"space before the city":    func(c *pix.BRCode) { c.MerchantCity = " RECIFE" },
		"space after the key":      func(c *pix.BRCode) { c.Key += " " },
		"description of a space":   func(c *pix.BRCode) { c.Description = " " },
		"not UTF-8":                func(c *pix.BRCode) { c.MerchantName = "LOJ\xc3" },
		"category of three digits": func(c *pix.BRCode) { c.MerchantCategory = "541" },
		"category with a letter":   func(c *pix.BRCode) { c.MerchantCategory = "541a" },
		"TxID too long":            func(c *pix.BRCode) { c.TxID = strings.Repeat("a", 26) },
		"TxID with a hyphen":       func(c *pix.BRCode) { c.TxID = "a-1" },
		"negative amount":          func(c *pix.BRCode) { c.Amount = pix.Centavos(-1) },
		"amount of eleven digits":  func(c *pix.BRCode) { c.Amount = pix.Centavos(1_000_000_000_000) },
	} {
		t.Run(name, func(t *testing.T) {
			code := valid
			spoil(&code)
			text, err := code.Encode()
			require.ErrorIs(t, err, pix.ErrInvalidBRCode)
			assert.Empty(t, text)
			assert.NotContains(t, err.Error(), exampleEVP)
		})
	}
}

func TestBRCodeFieldsMayReachTheirLimits(t *testing.T) {
	for _, code := range []pix.BRCode{
		{URL: strings.Repeat("u", 77), SingleUse: true},
		{Key: strings.Repeat("k", 77)},
		{Key: exampleEVP, Description: strings.Repeat("d", 37)},
	} {
		code.Amount = pix.Centavos(999_999_999_999)
		code.MerchantName = strings.Repeat("n", 25)
		code.MerchantCity = strings.Repeat("c", 15)
		code.PostalCode = "01310-100"
		code.MerchantCategory = "5411"
		code.TxID = strings.Repeat("T", 25)
		text, err := code.Encode()
		require.NoError(t, err)
		again, err := pix.ParseBRCode(text)
		require.NoError(t, err)
		assert.Equal(t, code, again)
	}
}

func TestBRCodeReadsPlaceholdersAsAbsent(t *testing.T) {
	code := pix.BRCode{
		Key: exampleEVP, MerchantName: "LOJA", MerchantCity: "RECIFE", MerchantCategory: "0000", TxID: "***",
	}
	text, err := code.Encode()
	require.NoError(t, err)
	again, err := pix.ParseBRCode(text)
	require.NoError(t, err)
	assert.Empty(t, again.TxID)
	assert.Empty(t, again.MerchantCategory)
}

func TestBRCodeIsNotWrittenLongerThanItCanBeRead(t *testing.T) {
	text := signed(staticBody(object("70", strings.Repeat("x", 99)), object("71", strings.Repeat("x", 99)), object("72", strings.Repeat("x", 90)), object("73", strings.Repeat("x", 60))))
	code, err := pix.ParseBRCode(text)
	require.NoError(t, err)
	_, err = code.Encode()
	require.NoError(t, err)

	code.Description = strings.Repeat("d", 37)
	_, err = code.Encode()
	assert.ErrorIs(t, err, pix.ErrInvalidBRCode)
}

func TestBRCodeIsNotWrittenWithAnObjectThatGrewTooLong(t *testing.T) {
	// Counted in characters these fit; in bytes they do not.
	accents := strings.Repeat("é", 56)
	for _, text := range []string{
		signed(staticBody("7056" + accents)),
		signed(staticBody("6260" + "5056" + accents)),
		signed(object("00", "01") + "2682" + object("00", "br.gov.bcb.pix") + object("01", "a") + "0255" + accents[2:] +
			object("53", "986") + object("58", "BR") + object("59", "LOJA") + object("60", "RECIFE")),
		signed(object("00", "01") + "2683" + object("00", "br.gov.bcb.pix") + object("01", "a") + "3056" + accents +
			object("53", "986") + object("58", "BR") + object("59", "LOJA") + object("60", "RECIFE")),
	} {
		code, err := pix.ParseBRCode(text)
		require.NoError(t, err)
		_, err = code.Encode()
		assert.ErrorIs(t, err, pix.ErrInvalidBRCode)
	}
}

func ExampleParseBRCode() {
	code, err := pix.ParseBRCode("00020126710014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-426655440000" +
		"0209pedido 425204000053039865406150.505802BR5912LOJA EXEMPLO6009SAO PAULO" +
		"61080131010062120508PEDIDO426304547F")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(code.MerchantName, code.Amount, code.TxID)
	// Output: LOJA EXEMPLO 150.50 PEDIDO42
}

func ExampleBRCode_Encode() {
	text, err := pix.BRCode{
		Key:          "123e4567-e12b-12d1-a456-426655440000",
		MerchantName: "Fulano de Tal",
		MerchantCity: "BRASILIA",
	}.Encode()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(text)
	// Output: 00020126580014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-4266554400005204000053039865802BR5913Fulano de Tal6008BRASILIA62070503***63041D3D
}

func FuzzParseBRCode(f *testing.F) {
	for _, c := range canonicalBRCodes {
		f.Add(c.text)
	}
	for _, c := range recurringBRCodes {
		f.Add(c.text)
	}
	f.Add(wholeAmountBRCode)
	f.Add(signed(staticBody("5907PADARIÃ")))
	f.Add(signed(staticBody(object("01", "11"), object("54", "0"), object("70", ""))))
	f.Fuzz(func(t *testing.T, text string) {
		// A mutated text hardly ever has a right checksum: mend it so that
		// what lies behind is reached too.
		for _, text := range []string{text, signed(text), signed(text[:max(0, len(text)-8)])} {
			code, err := pix.ParseBRCode(text)
			if err != nil {
				require.ErrorIs(t, err, pix.ErrInvalidBRCode)
				require.Zero(t, code)
				continue
			}
			written, err := code.Encode()
			if err != nil {
				require.ErrorIs(t, err, pix.ErrInvalidBRCode)
				continue
			}
			again, err := pix.ParseBRCode(written)
			require.NoError(t, err)
			require.Equal(t, code, again)
			rewritten, err := again.Encode()
			require.NoError(t, err)
			require.Equal(t, written, rewritten)
		}
	})
}
