package main

import (
	"bytes"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/bench/points"
)

func TestTheStoredPointsAreDrawnTheSameEachTime(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	stored := filepath.Join("..", points.File)
	require.NoError(t, drawAll(stored, first))
	require.NoError(t, drawAll(stored, second))
	for _, figure := range figures {
		name := "performance-" + figure.name + ".svg"
		drawing, err := os.ReadFile(filepath.Join(first, name))
		require.NoError(t, err)
		again, err := os.ReadFile(filepath.Join(second, name))
		require.NoError(t, err)
		assert.Equal(t, drawing, again, name)
		require.NoError(t, xml.Unmarshal(drawing, new(any)), name)
		for _, label := range []string{figure.title, figure.x, figure.y} {
			assert.True(t, bytes.Contains(drawing, []byte(">"+label+"<")), "%s: %s", name, label)
		}
		for _, series := range figure.series {
			assert.True(t, bytes.Contains(drawing, []byte(">"+series.name+"<")), "%s: %s", name, series.name)
		}
	}
}

func TestTheDocumentationShowsEachFigure(t *testing.T) {
	document, err := os.ReadFile(filepath.Join("..", "..", "docs", "performance.md"))
	require.NoError(t, err)
	for _, figure := range figures {
		assert.Contains(t, string(document), "](performance-"+figure.name+".svg)")
	}
}

func TestAFigureWithoutPointsIsAnError(t *testing.T) {
	measured, err := points.Read(strings.NewReader("throughput\tfloor\t1\t500\nthroughput\tfloor\t64\t9000\n"))
	require.NoError(t, err)
	_, err = figures[0].svg(measured)
	assert.EqualError(t, err, `the series "connectpsp" has no points`)
}
