package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// compileBenchmarks compiles the benchmarks to a program in folder, so that no round compiles.
func compileBenchmarks(folder string) (string, error) {
	program := filepath.Join(folder, "bench.test")
	return program, run(exec.Command("go", "test", "-c", "-o", program, "."))
}

// measure runs every benchmark once, as one round, and writes the output to raw.
func measure(program, benchtime string, raw io.Writer) error {
	command := exec.Command(program, "-test.run=^$", "-test.bench=.", "-test.count=1", "-test.benchtime="+benchtime)
	command.Stdout = raw
	return run(command)
}

func run(command *exec.Cmd) error {
	command.Stderr = os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("%v: %w", command.Args, err)
	}
	return nil
}
