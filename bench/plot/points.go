package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// point is one of a series.
type point struct{ x, y float64 }

// points are those of all figures, by figure and series.
type points map[string]map[string][]point

// read reads points, one a line: figure, series, x, y.
func read(in io.Reader) (points, error) {
	all := points{}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		if len(fields) != 4 {
			return nil, fmt.Errorf("%q is not four fields", lines.Text())
		}
		x, err := strconv.ParseFloat(fields[2], 64)
		if err != nil {
			return nil, err
		}
		y, err := strconv.ParseFloat(fields[3], 64)
		if err != nil {
			return nil, err
		}
		if all[fields[0]] == nil {
			all[fields[0]] = map[string][]point{}
		}
		all[fields[0]][fields[1]] = append(all[fields[0]][fields[1]], point{x, y})
	}
	return all, lines.Err()
}
