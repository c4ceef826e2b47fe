package main

import (
	"bufio"
	"fmt"
	"io"

	"rsc.io/qr"
)

// quietZone is the width of the light border of a QR code, in modules (ISO/IEC 18004).
const quietZone = 4

// The colours of a line: black on white by their numbers in the colour cube, which no theme
// changes. A light code on a dark ground cannot be read by many banks' programs.
const (
	darkOnLight = "\x1b[38;5;16;48;5;231m"
	noColour    = "\x1b[0m"
)

// drawQR draws text as a QR code, two modules in each character. It draws nothing on a terminal of
// fewer columns than the code needs, or on none.
func drawQR(w io.Writer, text string, columns int) error {
	code, err := qr.Encode(text, qr.L)
	if err != nil || code.Size+2*quietZone > columns {
		return nil // the text is printed too
	}
	out := bufio.NewWriter(w)
	for y := -quietZone; y < code.Size+quietZone; y += 2 {
		out.WriteString(darkOnLight)
		for x := -quietZone; x < code.Size+quietZone; x++ {
			switch upper, lower := code.Black(x, y), code.Black(x, y+1); {
			case upper && lower:
				out.WriteString("█")
			case upper:
				out.WriteString("▀")
			case lower:
				out.WriteString("▄")
			default:
				out.WriteByte(' ')
			}
		}
		fmt.Fprintln(out, noColour)
	}
	return out.Flush()
}
