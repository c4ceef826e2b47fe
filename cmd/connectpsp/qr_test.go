package main

import (
	"bytes"
	"image"
	"image/color"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"rsc.io/qr"
)

// screen returns what a terminal shows, four pixels for each half of a character. Only characters
// between the codes of dark on light are known.
func screen(t *testing.T, drawn string) image.Image {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(drawn, "\n"), "\n")
	var rows [][]rune
	for _, line := range lines {
		line, begins := strings.CutPrefix(line, darkOnLight)
		line, ends := strings.CutSuffix(line, noColour)
		require.True(t, begins && ends, "each line sets its colours and ends them")
		rows = append(rows, []rune(line))
	}
	const scale = 4
	picture := image.NewGray(image.Rect(0, 0, scale*len(rows[0]), 2*scale*len(rows)))
	for y, row := range rows {
		require.Len(t, row, len(rows[0]))
		for x, r := range row {
			for half := range 2 {
				dark := r == '█' || r == '▀' && half == 0 || r == '▄' && half == 1
				require.True(t, dark || strings.ContainsRune(" ▀▄", r))
				shade := color.Gray{Y: 255}
				if dark {
					shade.Y = 0
				}
				for i := range scale * scale {
					picture.SetGray(scale*x+i%scale, scale*(2*y+half)+i/scale, shade)
				}
			}
		}
	}
	return picture
}

func readQR(t *testing.T, picture image.Image) string {
	t.Helper()
	bitmap, err := gozxing.NewBinaryBitmapFromImage(picture)
	require.NoError(t, err)
	read, err := qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_PURE_BARCODE: true})
	require.NoError(t, err)
	return read.GetText()
}

func TestAReaderReadsTheDrawnCodeOfEverySize(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	sizes := map[int]bool{}
	for length := 10; length < 2900; length += 1 + length/24 {
		text := make([]byte, length)
		for i := range text {
			text[i] = "ABCabc019*$./-:"[random.IntN(15)]
		}
		code, err := qr.Encode(string(text), qr.L)
		require.NoError(t, err)
		if sizes[code.Size] {
			continue
		}
		sizes[code.Size] = true
		var drawn bytes.Buffer
		require.NoError(t, drawQR(&drawn, string(text), code.Size+8))
		assert.Equal(t, string(text), readQR(t, screen(t, drawn.String())))

		drawn.Reset()
		require.NoError(t, drawQR(&drawn, string(text), code.Size+7))
		assert.Empty(t, drawn.String(), "a column is missing")
	}
	assert.True(t, sizes[21] && sizes[177], "%v", sizes)
	assert.Greater(t, len(sizes), 30)
}

func TestAChargeShowsItsCodeOnAWideTerminalAndTextElsewhere(t *testing.T) {
	s := newShell(t)
	s.columns = 120
	o := s.run(cashIn("order-1")...)
	require.Equal(t, exitDone, o.code, o.stderr)
	drawn, text, found := strings.Cut(o.stdout, "outcome")
	require.True(t, found)
	_, code, _ := strings.Cut(text, "copy and paste")
	code, _, _ = strings.Cut(strings.TrimSpace(code), "\n")
	assert.Equal(t, code, readQR(t, screen(t, drawn)))

	for _, columns := range []int{0, 40} {
		s.columns = columns
		o := s.run(cashIn("order-1")...)
		assert.NotContains(t, o.stdout, "\x1b")
		assert.Contains(t, o.stdout, code)
	}
	s.columns = 120
	assert.NotContains(t, s.run(cashIn("order-1", "--json")...).stdout, "\x1b")
}
