package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/connectpsp/connectpsp-go/pix"
)

// row is a line of output for people: a name and a value. A row without a value is left out.
type row [2]string

// print prints a result: object with --json, and otherwise rows.
func (a *app) print(object any, rows ...row) error {
	if a.json {
		return a.printJSON(object)
	}
	return printRows(a.stdout, rows)
}

func (a *app) printJSON(object any) error {
	a.printed = true
	encoder := json.NewEncoder(a.stdout)
	encoder.SetEscapeHTML(false)
	return written(encoder.Encode(object))
}

func printRows(w io.Writer, rows []row) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		if row[1] != "" {
			fmt.Fprintf(table, "%s\t%s\n", row[0], oneLine(row[1]))
		}
	}
	return written(table.Flush())
}

// outputError says that the output failed, and not the command.
type outputError struct{ error }

func (e *outputError) Error() string {
	return "the command was carried out, and its output cannot be written: " + e.error.Error()
}

func (e *outputError) Unwrap() error { return e.error }

func written(err error) error {
	if err != nil {
		return &outputError{err}
	}
	return nil
}

// amountOf returns an amount for people, empty if the gateway does not tell the amount.
func amountOf(amount pix.Amount) string {
	if amount.IsZero() {
		return ""
	}
	return amount.BRL()
}

// timeOf returns a time for people, in the zone of this machine and with its offset, empty for the
// zero time.
func timeOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05 -07:00")
}

// parseAmount reads the amount of a flag.
func parseAmount(flag, text string) (pix.Amount, error) {
	amount, err := pix.ParseAmount(text)
	if err != nil {
		return amount, usage("%s must be reais with a dot, such as 10.50", flag)
	}
	return amount, nil
}

// joined joins the words that are not empty.
func joined(words ...string) string {
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}

// printTable prints lines of several columns under their names.
func printTable(w io.Writer, names []string, lines [][]string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join(names, "\t"))
	for _, line := range lines {
		for i, text := range line {
			line[i] = cmp.Or(oneLine(text), "-")
		}
		fmt.Fprintln(table, strings.Join(line, "\t"))
	}
	return written(table.Flush())
}
