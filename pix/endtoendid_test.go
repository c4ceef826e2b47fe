package pix_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
)

var validEndToEndIDs = []struct {
	text, ispb, suffix string
	isReturn           bool
	minute             time.Time
}{
	{"E12345678202009091221abcdef12345", "12345678", "abcdef12345", false, time.Date(2020, 9, 9, 12, 21, 0, 0, time.UTC)},
	{"D12345678202009091000abcde123456", "12345678", "abcde123456", true, time.Date(2020, 9, 9, 10, 0, 0, 0, time.UTC)},
	{"E00000000202402292359ZZZZZZZZZZZ", "00000000", "ZZZZZZZZZZZ", false, time.Date(2024, 2, 29, 23, 59, 0, 0, time.UTC)},
	{"E12ABC345202607301500a1B2c3D4e5F", "12ABC345", "a1B2c3D4e5F", false, time.Date(2026, 7, 30, 15, 0, 0, 0, time.UTC)},
}

// These have the shape of an id but not its layout.
var unusualEndToEndIDs = []string{
	"E9999901012341234123412345678900",
	"E12345678202013091221abcdef12345",
	"E12345678202000091221abcdef12345",
	"E12345678202302291221abcdef12345",
	"E12345678202009092421abcdef12345",
	"E12345678202009091260abcdef12345",
	"E1234567820200909122abcdefg12345",
	"E123456782020090912x1abcdef12345",
	"E1234567820200909x221abcdef12345",
	"E1234567a202009091221abcdef12345",
	"EABCDEFGHIJKLMNOPQRSTUVWXYZabcde",
}

var invalidEndToEndIDs = []string{
	"", "E", "D",
	"e12345678202009091221abcdef12345",
	"d12345678202009091221abcdef12345",
	"F12345678202009091221abcdef12345",
	"E12345678202009091221abcdef1234",
	"E12345678202009091221abcdef123456",
	"E12345678202009091221abcdef1234-",
	"E12345678202009091221abcdef1234é",
	" E12345678202009091221abcdef1234",
	"E12345678202009091221abcdef1234\n",
}

func TestEndToEndIDIsTakenApart(t *testing.T) {
	for _, c := range validEndToEndIDs {
		id, err := pix.ParseEndToEndID(c.text)
		require.NoError(t, err, c.text)
		assert.Equal(t, c.text, id.String())
		assert.Equal(t, c.isReturn, id.IsReturn())
		assert.Equal(t, c.ispb, id.ISPB())
		assert.Equal(t, c.minute, id.Time())
		assert.Equal(t, c.suffix, id.Suffix())
	}
}

func TestEndToEndIDInAnUnusualLayoutIsStillAnID(t *testing.T) {
	for _, c := range validEndToEndIDs {
		assert.True(t, pix.IsEndToEndID(c.text), c.text)
	}
	for _, text := range unusualEndToEndIDs {
		assert.True(t, pix.IsEndToEndID(text), text)
		id, err := pix.ParseEndToEndID(text)
		assert.ErrorIs(t, err, pix.ErrInvalidEndToEndID, text)
		assert.Zero(t, id)
	}
}

func TestEndToEndIDRefusesOtherShapes(t *testing.T) {
	for _, text := range invalidEndToEndIDs {
		assert.False(t, pix.IsEndToEndID(text), text)
		_, err := pix.ParseEndToEndID(text)
		assert.ErrorIs(t, err, pix.ErrInvalidEndToEndID, text)
	}
}

func TestEndToEndIDZeroValueIsEmpty(t *testing.T) {
	var id pix.EndToEndID
	assert.Empty(t, id.String())
	assert.Empty(t, id.ISPB())
	assert.Empty(t, id.Suffix())
	assert.False(t, id.IsReturn())
	assert.True(t, id.Time().IsZero())
}

func TestEndToEndIDIsWrittenInFull(t *testing.T) {
	id, err := pix.ParseEndToEndID(validEndToEndIDs[0].text)
	require.NoError(t, err)
	text, err := json.Marshal(id)
	require.NoError(t, err)
	assert.Equal(t, `"`+validEndToEndIDs[0].text+`"`, string(text))
}

func ExampleParseEndToEndID() {
	id, err := pix.ParseEndToEndID("E12345678202009091221abcdef12345")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(id.ISPB(), id.Time().Format(time.RFC3339), id.IsReturn())
	// Output: 12345678 2020-09-09T12:21:00Z false
}

func FuzzParseEndToEndID(f *testing.F) {
	for _, c := range validEndToEndIDs {
		f.Add(c.text)
	}
	for _, text := range unusualEndToEndIDs {
		f.Add(text)
	}
	for _, text := range invalidEndToEndIDs {
		f.Add(text)
	}
	loose := regexp.MustCompile(`^[ED][A-Za-z0-9]{31}$`)
	strict := regexp.MustCompile(`^([ED])([0-9A-Z]{8})([0-9]{4})(0[1-9]|1[0-2])(0[1-9]|[1-2][0-9]|3[0-1])` +
		`(2[0-3]|[01][0-9])([0-5][0-9])([a-zA-Z0-9]{11})$`)
	f.Fuzz(func(t *testing.T, text string) {
		require.Equal(t, loose.MatchString(text), pix.IsEndToEndID(text))
		id, err := pix.ParseEndToEndID(text)
		if err != nil {
			require.ErrorIs(t, err, pix.ErrInvalidEndToEndID)
			if m := strict.FindStringSubmatch(text); m != nil {
				// The pattern knows no month lengths.
				_, err := time.Parse("20060102", m[3]+m[4]+m[5])
				require.Error(t, err)
			}
			return
		}
		require.True(t, strict.MatchString(text))
		letter := "E"
		if id.IsReturn() {
			letter = "D"
		}
		require.Equal(t, text, strings.Join([]string{
			letter, id.ISPB(), id.Time().Format("200601021504"), id.Suffix(),
		}, ""))
		require.Equal(t, time.UTC, id.Time().Location())
	})
}
