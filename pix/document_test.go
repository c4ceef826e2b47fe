package pix_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
)

var validCPFs = []string{"12345678909", "00000000191", "52998224725", "11144477735", "98765432100", "11912345684"}

var validCNPJs = []string{
	"12ABC34501DE35", "ABCDEFGHIJKL80", "1345C3A5000106", "00000000000191", "R55231B3000757",
	"90021382000122", "90024778000123", "90025108000121", "90025255000100", "90024420000109",
	"90024781000147", "04740714000197", "44108058000129", "90024780000100", "90024779000178",
	"19JA2KO8Z00151", "SCRCN1NI000130", "4Y2OPG99000141", "WE0PPM4F000191", "11111111111180",
}

var invalidDocuments = []string{
	"", "1", "1234567890", "123456789090", "12345678901", "1234567890９",
	"123.456.78909", "123.456.789.09", "123-456-789-09", " 12345678909", "12345678909 ", "12345678909\n",
	"1234567890A", "A2345678909",
	"12ABC34501DE34", "ABCDEFGHIJKL81", "R55231B3000700", "00000000000192", "00000000000000", "00.000.000/0000-00",
	"0000000000019L", "000000000001P1", "12ABc34501DE35", "12abc34501de35", "12ABC34501DE3A",
	"AAAAAAAAAAAA45", "AA.AAA.AAA/AAAA-45", "ZZZZZZZZZZZZ62", "000000000000",
	"12abc34501de05", "12ABc34501DE10", "12.abc.345/01de-05", // their check digits are right
	"12.ABC.345/01DE35", "12-ABC-345/01DE-35", "12.ABC.345.01DE-35", "12.abc.345/01de-35", "12.ABC.345/01DÉ-3",
}

func punctuateCPF(s string) string {
	return s[:3] + "." + s[3:6] + "." + s[6:9] + "-" + s[9:]
}

func punctuateCNPJ(s string) string {
	return s[:2] + "." + s[2:5] + "." + s[5:8] + "/" + s[8:12] + "-" + s[12:]
}

func TestDocumentReadsCPFs(t *testing.T) {
	for _, text := range validCPFs {
		for _, written := range []string{text, punctuateCPF(text)} {
			document, err := pix.ParseDocument(written)
			require.NoError(t, err, written)
			assert.Equal(t, text, document.Text())
			assert.Equal(t, pix.DocumentCPF, document.Kind())
			assert.False(t, document.IsAlphanumeric())
		}
	}
}

func TestDocumentReadsCNPJs(t *testing.T) {
	for _, text := range validCNPJs {
		for _, written := range []string{text, punctuateCNPJ(text)} {
			document, err := pix.ParseDocument(written)
			require.NoError(t, err, written)
			assert.Equal(t, text, document.Text())
			assert.Equal(t, pix.DocumentCNPJ, document.Kind())
			assert.Equal(t, strings.ContainsAny(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), document.IsAlphanumeric())
		}
	}
}

func TestDocumentRefusesWhatIsNeither(t *testing.T) {
	for _, text := range invalidDocuments {
		document, err := pix.ParseDocument(text)
		require.ErrorIs(t, err, pix.ErrInvalidDocument, text)
		assert.Zero(t, document)
		if text != "" && text != "1" {
			assert.NotContains(t, err.Error(), text)
		}
	}
}

func TestDocumentRefusesRepeatedDigits(t *testing.T) {
	for digit := '0'; digit <= '9'; digit++ {
		for _, length := range []int{11, 14} {
			_, err := pix.ParseDocument(strings.Repeat(string(digit), length))
			assert.ErrorIs(t, err, pix.ErrInvalidDocument)
		}
	}
}

func TestDocumentCatchesEveryWrongCheckDigit(t *testing.T) {
	for _, valid := range append(validCPFs, validCNPJs...) {
		for i := len(valid) - 2; i < len(valid); i++ {
			for _, wrong := range withOtherDigit(valid, i) {
				_, err := pix.ParseDocument(wrong)
				assert.ErrorIs(t, err, pix.ErrInvalidDocument, "%s instead of %s", wrong, valid)
			}
		}
	}
}

func TestDocumentCatchesAlmostEveryWrongDigit(t *testing.T) {
	// The registers write the remainders 0 and 1 with the same check digit, so
	// a few errors pass: 22345678909 is as good a CPF as 12345678909.
	tried, missed := 0, 0
	for _, valid := range append(validCPFs, validCNPJs...) {
		for i := range len(valid) {
			for _, wrong := range withOtherDigit(valid, i) {
				tried++
				if _, err := pix.ParseDocument(wrong); err == nil {
					missed++
				}
			}
		}
	}
	assert.Greater(t, tried, 2000)
	assert.Less(t, missed, tried/200)
}

// withOtherDigit returns valid with each other digit at position i, and nothing
// if there is a letter: a letter may weigh the same as a digit.
func withOtherDigit(valid string, i int) []string {
	var wrong []string
	for digit := byte('0'); digit <= '9' && valid[i] <= '9'; digit++ {
		if digit != valid[i] {
			wrong = append(wrong, valid[:i]+string(digit)+valid[i+1:])
		}
	}
	return wrong
}

func TestDocumentPrintsMaskedEverywhere(t *testing.T) {
	for text, mask := range map[string]string{
		"12345678909":    "***.456.789-**",
		"12ABC34501DE35": "**.ABC.345/****-**",
	} {
		document, err := pix.ParseDocument(text)
		require.NoError(t, err)
		assert.Equal(t, mask, document.String())
		assert.Equal(t, "pix.Document("+mask+")", fmt.Sprintf("%#v", document))
		assertHidden(t, text, mask, document, struct{ hidden pix.Document }{document})
	}
}

func TestDocumentZeroValueIsEmpty(t *testing.T) {
	var document pix.Document
	assert.Empty(t, document.Text())
	assert.Empty(t, document.Kind())
	assert.Empty(t, document.String())
	assert.False(t, document.IsAlphanumeric())
	assert.Equal(t, "pix.Document()", document.GoString())
}

func TestDocumentsOfTheSameTextAreEqual(t *testing.T) {
	bare, err := pix.ParseDocument("12345678909")
	require.NoError(t, err)
	punctuated, err := pix.ParseDocument("123.456.789-09")
	require.NoError(t, err)
	other, err := pix.ParseDocument("52998224725")
	require.NoError(t, err)
	assert.True(t, bare == punctuated)
	assert.False(t, bare == other)
}

func ExampleParseDocument() {
	document, err := pix.ParseDocument("123.456.789-09")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(document.Kind(), document)
	fmt.Println(document.Text())

	_, err = pix.ParseDocument("123.456.789-00")
	fmt.Println(err)
	// Output:
	// CPF ***.456.789-**
	// 12345678909
	// pix: invalid document: its check digits are wrong
}

func FuzzParseDocument(f *testing.F) {
	for _, text := range validCPFs {
		f.Add(text)
		f.Add(punctuateCPF(text))
	}
	for _, text := range validCNPJs {
		f.Add(text)
		f.Add(punctuateCNPJ(text))
	}
	for _, text := range invalidDocuments {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		document, err := pix.ParseDocument(text)
		if err != nil {
			require.ErrorIs(t, err, pix.ErrInvalidDocument)
			require.NotEmpty(t, reasonOf(t, err))
			require.Zero(t, document)
			return
		}
		bare := document.Text()
		punctuated := punctuateCPF(bare)
		if document.Kind() == pix.DocumentCNPJ {
			punctuated = punctuateCNPJ(bare)
		}
		require.Contains(t, []string{bare, punctuated}, text)
		require.NotContains(t, document.String(), bare)
		for _, written := range []string{bare, punctuated} {
			again, err := pix.ParseDocument(written)
			require.NoError(t, err)
			require.Equal(t, document, again)
		}
	})
}
