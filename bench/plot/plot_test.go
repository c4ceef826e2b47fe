package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestADrawingIsWellFormedAndHasALineForEachSeries(t *testing.T) {
	measured, err := read(strings.NewReader("throughput\tfloor\t1\t500\nthroughput\tfloor\t64\t9000\nthroughput\tconnectpsp\t1\t400\n" +
		"throughput\tconnectpsp\t64\t8000\n"))
	require.NoError(t, err)
	drawing, err := figures[0].svg(measured)
	require.NoError(t, err)
	decoder := xml.NewDecoder(strings.NewReader(drawing))
	lines := 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if element, ok := token.(xml.StartElement); ok && element.Name.Local == "path" && strings.HasPrefix(element.Attr[0].Value, "line") {
			lines++
		}
	}
	assert.Equal(t, 4, lines, "two in the legend, two in the figure")
	_, err = figures[1].svg(measured)
	assert.Error(t, err, "a figure without points is not drawn empty")
}

func TestTicksAreRound(t *testing.T) {
	assert.Equal(t, []float64{0, 5, 10, 15, 20, 25, 30, 35}, newAxis([]float64{0, 33}, false).ticks)
	assert.Equal(t, []float64{1, 4, 64}, newAxis([]float64{1, 4, 64}, true).ticks)
	assert.Equal(t, "10k", label(10_000))
	assert.Equal(t, "4096", label(4096))
}
