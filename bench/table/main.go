// Command table runs the benchmarks several times and prints medians, their ratios to the work done
// by hand, and whether the goals are met. Run it in the folder of the module.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

func main() {
	rounds := flag.Int("rounds", 5, "how often everything is measured")
	benchtime := flag.String("benchtime", "100ms", "how long each benchmark runs in a round")
	raw := flag.String("raw", "out/bench.txt", "where the figures of all rounds are kept, for benchstat")
	document := flag.String("document", "", "a document to put the table in, between its marks")
	flag.Parse()
	if err := makeTable(*rounds, *benchtime, *raw, *document); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func makeTable(rounds int, benchtime, raw, document string) error {
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	program, err := compileBenchmarks(folder)
	if err != nil {
		return err
	}
	var output strings.Builder
	for round := range rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, rounds)
		if err := measure(program, benchtime, &output); err != nil {
			return fmt.Errorf("%w\n%s", err, output.String())
		}
	}
	fmt.Fprintln(os.Stderr, "size and compile time")
	if err := weigh(folder, min(rounds, 3), &output); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(raw), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(raw, []byte(output.String()), 0o644); err != nil {
		return err
	}
	text := fmt.Sprintf("%s, %d processors, %s, %d rounds of %s.\n\n%s", processor(output.String()), runtime.NumCPU(),
		runtime.Version(), rounds, benchtime, markdown(rowsOf(parse(output.String()))))
	if document != "" {
		if err := replaceInFile(document, text); err != nil {
			return err
		}
	}
	_, err = io.WriteString(os.Stdout, text)
	return err
}

// processor returns its name, which go test prints.
func processor(output string) string {
	_, rest, found := strings.Cut(output, "\ncpu: ")
	if !found {
		return runtime.GOARCH
	}
	name, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(name)
}
