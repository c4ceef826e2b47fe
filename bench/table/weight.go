package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// The groups that are not benchmarks: the size of a program, and the processor time to compile it.
const (
	binary  = "Binary"
	compile = "ColdCompile"
)

// weigh builds a program with the SDK and one without, and writes their sizes and compile times to
// raw as benchmarks.
//
// Compiling the standard library takes ten times as long as the SDK, and would drown it in noise.
// So each build starts with a cache of the packages that the program without the SDK imports: that
// program is only linked, and of the other only the rest is compiled.
func weigh(folder string, rounds int, raw io.Writer) error {
	warm := filepath.Join(folder, "warm")
	if _, _, err := build(folder, warm, "floor"); err != nil {
		return err
	}
	for range rounds {
		for _, program := range []struct{ who, source string }{{"floor", "floor"}, {sdk, "sdk"}} {
			cache := filepath.Join(folder, "cache")
			if err := os.CopyFS(cache, os.DirFS(warm)); err != nil {
				return err
			}
			size, spent, err := build(folder, cache, program.source)
			if err != nil {
				return err
			}
			if err := os.RemoveAll(cache); err != nil {
				return err
			}
			fmt.Fprintf(raw, "Benchmark%s/%s 1 %d B/op\n", binary, program.who, size)
			fmt.Fprintf(raw, "Benchmark%s/%s 1 %d ns/op\n", compile, program.who, spent.Nanoseconds())
		}
	}
	return nil
}

// build builds a program of the folder weigh with a cache. It returns the size of the program and
// the processor time of the build.
func build(folder, cache, program string) (size int64, spent time.Duration, err error) {
	output := filepath.Join(folder, program)
	command := exec.Command("go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", output, "./weigh/"+program)
	command.Env = append(os.Environ(), "GOCACHE="+cache)
	if err := run(command); err != nil {
		return 0, 0, err
	}
	spent = command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	info, err := os.Stat(output)
	if err != nil {
		return 0, 0, err
	}
	return info.Size(), spent, os.Remove(output)
}
