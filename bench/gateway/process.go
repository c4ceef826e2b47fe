package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"
)

const variable = "CONNECTPSP_BENCH_GATEWAY"

// Process is a gateway in a process of its own, on loopback, so that its allocations and its
// garbage collection are not the caller's. It ends with [Process.Close], or with the process that
// started it.
type Process struct {
	command *exec.Cmd
	stdin   io.Closer
	addresses
}

type addresses struct{ URL, Control string }

// Serve must come first in the main function of a program that calls [Start]. In the process that
// Start makes of that program, it serves payments and does not return. In any other it does
// nothing.
func Serve() {
	text := os.Getenv(variable)
	if text == "" {
		return
	}
	if err := serve(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serve(text string) error {
	var settings Settings
	if err := json.Unmarshal([]byte(text), &settings); err != nil {
		return err
	}
	server := newServer(settings)
	failed := make(chan error, 2)
	listen := func(server *http.Server) (string, error) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		go func() { failed <- server.Serve(listener) }()
		return "http://" + listener.Addr().String(), nil
	}
	var where addresses
	var err error
	if where.URL, err = listen(server.payments()); err != nil {
		return err
	}
	if where.Control, err = listen(server.control()); err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(where); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the other process closes it, or ends
		failed <- nil
	}()
	return <-failed
}

// Start runs this program again as a gateway.
func Start(settings Settings) (*Process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	command := exec.Command(program)
	command.Env = append(os.Environ(), variable+"="+string(text))
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &Process{command: command, stdin: stdin}
	if err := json.NewDecoder(stdout).Decode(&p.addresses); err != nil {
		return nil, fmt.Errorf("the gateway did not start: %w", err)
	}
	return p, nil
}

// Close ends the gateway.
func (p *Process) Close() error {
	if err := p.stdin.Close(); err != nil {
		return err
	}
	return p.command.Wait()
}

// Counts returns the counts of the gateway so far.
func (p *Process) Counts() (Counts, error) {
	var counts Counts
	response, err := control.Get(p.Control + "/counts")
	if err != nil {
		return counts, err
	}
	defer response.Body.Close()
	return counts, json.NewDecoder(response.Body).Decode(&counts)
}

// Hold makes the payments that arrive from now on wait for [Process.Release].
func (p *Process) Hold() error { return p.post("/hold") }

// Release accepts the payments that wait. It must follow [Process.Hold].
func (p *Process) Release() error { return p.post("/release") }

func (p *Process) post(path string) error {
	response, err := control.Post(p.Control+path, "", nil)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

var control = &http.Client{Timeout: time.Minute}
