package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/connectpsp/connectpsp-go/pix"
)

func (a *app) key() *cobra.Command {
	detect := leaf("detect TEXT", "List the PIX keys that a text may mean", "key detect '(11) 98765-4321'",
		func(_ context.Context, args []string) error { return a.detect(args[0]) })
	detect.Long = `List the PIX keys that a text may mean, masked. TEXT is - to read it from stdin.

A candidate is not an answer: eleven digits may be a CPF and the phone number of somebody else. The
exit status is 3 if the text means no key.`
	return family("key", "Find the type of a PIX key", "key detect maria@example.com", detect)
}

// keyResult is the JSON of key detect.
type keyResult struct {
	Candidates []keyCandidate `json:"candidates"`
}

type keyCandidate struct {
	Type pix.KeyType `json:"type"`
	Key  pix.Key     `json:"key"` // its JSON is masked
}

func (a *app) detect(text string) error {
	if text == "-" {
		data, err := a.readFile("stdin", "-")
		if err != nil {
			return err
		}
		text = string(data)
	}
	keys := pix.KeyCandidates(text)
	if len(keys) == 0 {
		return &rejectedError{errors.New("the text means no PIX key: no CPF, CNPJ, e-mail address, phone number or random key")}
	}
	var result keyResult
	var rows []row
	for _, key := range keys {
		result.Candidates = append(result.Candidates, keyCandidate{key.Type(), key})
		rows = append(rows, row{string(key.Type()), key.String()})
	}
	if len(keys) > 1 {
		rows = append(rows, row{"ask", "the text has two meanings, and each may belong to another person"})
	}
	return a.print(result, rows...)
}
