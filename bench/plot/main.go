// Command plot draws what the command growth measured, as SVG.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	in := flag.String("in", "out/growth.tsv", "the points to draw")
	folder := flag.String("folder", "../docs", "where the drawings go")
	flag.Parse()
	if err := draw(*in, *folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func draw(in, folder string) error {
	file, err := os.Open(in)
	if err != nil {
		return err
	}
	defer file.Close()
	measured, err := read(file)
	if err != nil {
		return err
	}
	for _, figure := range figures {
		drawing, err := figure.svg(measured)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, "performance-"+figure.name+".svg"), []byte(drawing), 0o644); err != nil {
			return err
		}
	}
	return nil
}
