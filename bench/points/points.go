// Package points stores the points that the command growth measures and the command plot draws.
package points

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
)

// File is where the points are stored, seen from the folder of the module.
const File = "growth.tsv"

// Point is one measured value. Its series is a line of a figure.
type Point struct {
	Figure, Series string
	X, Y           float64
}

// Write writes a line for each point: figure, series, x and y, separated by tabs.
func Write(w io.Writer, all []Point) error {
	lines := csv.NewWriter(w)
	lines.Comma = '\t'
	for _, p := range all {
		if err := lines.Write([]string{p.Figure, p.Series, number(p.X), number(p.Y)}); err != nil {
			return err
		}
	}
	lines.Flush()
	return lines.Error()
}

// Read reads the lines that [Write] writes.
func Read(r io.Reader) ([]Point, error) {
	reader := csv.NewReader(r)
	reader.Comma = '\t'
	reader.FieldsPerRecord = 4
	lines, err := reader.ReadAll()
	if err != nil {
		return nil, err
	}
	all := make([]Point, len(lines))
	for i, line := range lines {
		all[i].Figure, all[i].Series = line[0], line[1]
		if _, err := fmt.Sscan(line[2]+" "+line[3], &all[i].X, &all[i].Y); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return all, nil
}

// number keeps four digits: a plot shows no more.
func number(value float64) string { return strconv.FormatFloat(value, 'g', 4, 64) }
