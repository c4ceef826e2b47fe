// Staging drives the operations of the live gateway and holds what comes and goes against the
// description. It prints what the gateway does that the description does not say, field by field,
// ready to be put into an issue to the provider.
//
//	staging [-move-money]
//
// It reads the CONNECTPSP_* variables of connectpsp.ConfigFromEnv, and does nothing but say so if
// none is set. Without -move-money it creates a charge of R$ 1.00 that nobody pays, tries to refund
// it, and only reads besides. With it, it pays R$ 0.01 to the PIX key in
// CONNECTPSP_TEST_PAYEE_NAME, _DOCUMENT, _PIX_KEY_TYPE and _PIX_KEY, and sets the balance to what
// it is.
//
// It ends with 0 if everything is as described or nothing was done, 3 if something deviates, 1 if
// it could not go on and 2 if it was called wrongly. No secret and no personal data is printed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	status, err := run(ctx, filepath.Join("openapi", "connectpsp.yaml"), os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "staging:", err)
	}
	os.Exit(status)
}

// run does what the arguments and the environment say and returns what to end with.
func run(ctx context.Context, description string, arguments []string, to io.Writer) (status int, err error) {
	out := newRedactingWriter(to)
	defer func() {
		if err != nil {
			err = discreetError{err, out.redact(err.Error())}
		}
	}()
	flags := flag.NewFlagSet("staging", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	moveMoney := flags.Bool("move-money", false, "also drive the operations that move money")
	if err := flags.Parse(arguments); err != nil || flags.NArg() > 0 {
		return 2, errors.Join(err, errors.New("usage: staging [-move-money]"))
	}
	if !configured() {
		fmt.Fprintln(out, "Skipped: no CONNECTPSP_* variable is set, so there is no gateway to check. Nothing was sent.")
		return 0, nil
	}
	for _, name := range []string{
		"CLIENT_SECRET", "APPLICATION_TOKEN", "CRYPTO_TOKEN", "TEST_PAYEE_NAME", "TEST_PAYEE_DOCUMENT", "TEST_PAYEE_PIX_KEY",
	} {
		out.hide(os.Getenv("CONNECTPSP_" + name))
	}
	out.hide(strings.Fields(os.Getenv("CONNECTPSP_TEST_PAYEE_NAME"))...)
	config, err := connectpsp.ConfigFromEnv()
	if err != nil {
		return 1, err
	}
	var payee *connectpsp.Payee
	if *moveMoney {
		if payee, err = payeeFromEnv(); err != nil {
			return 1, err
		}
	}
	found := newFindings()
	survey, err := newSurvey(config, description, found, out)
	if err != nil {
		return 1, err
	}
	fmt.Fprintf(out, "Checking the gateway of %v.\n\n", config.Environment)
	err = survey.drive(ctx, payee)
	found.write(out)
	switch {
	case err != nil:
		return 1, err
	case found.deviates():
		return 3, nil
	default:
		fmt.Fprintln(out, "\nThe gateway does as the description says, as far as this went.")
		return 0, nil
	}
}

func configured() bool {
	for _, variable := range os.Environ() {
		if name, value, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "CONNECTPSP_CLIENT_") && value != "" {
			return true
		}
	}
	return false
}

// payeeFromEnv says who is paid. Its error repeats no value.
func payeeFromEnv() (*connectpsp.Payee, error) {
	var faults []error
	required := func(name string) string {
		value := os.Getenv("CONNECTPSP_TEST_PAYEE_" + name)
		if value == "" {
			faults = append(faults, fmt.Errorf("the environment variable CONNECTPSP_TEST_PAYEE_%s is not set, and -move-money needs it", name))
		}
		return value
	}
	payee := connectpsp.Payee{
		Name:        required("NAME"),
		Document:    required("DOCUMENT"),
		Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyType(required("PIX_KEY_TYPE")), required("PIX_KEY")),
	}
	return &payee, errors.Join(faults...)
}
