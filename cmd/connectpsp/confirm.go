package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
)

var errDeclined = errors.New("not confirmed, so this command did nothing")

// mayConfirm returns an error if a person cannot be asked and --yes was not given.
func (a *app) mayConfirm(yes bool) error {
	if !yes && !a.interactive {
		return usage("nothing was done: without a terminal the command cannot ask for confirmation; add --yes")
	}
	return nil
}

// confirm shows rows and asks the question. With yes it does neither.
func (a *app) confirm(ctx context.Context, yes bool, question string, rows ...row) error {
	if yes {
		return nil
	}
	if err := printRows(a.stderr, rows); err != nil {
		return err
	}
	fmt.Fprint(a.stderr, question+" [y/N] ")
	answer := make(chan string, 1)
	go func() { // it is left behind if ctx ends first, and the process ends then
		line, _ := bufio.NewReader(a.stdin).ReadString('\n')
		answer <- line
	}()
	select {
	case line := <-answer:
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return nil
		}
	case <-ctx.Done():
		fmt.Fprintln(a.stderr)
	}
	return errDeclined
}
