// Staging calls the operations of the live gateway and compares the traffic with the description.
// It prints the deviations, field by field, ready for an issue to the provider.
//
//	staging [-move-money]
//
// It reads the CONNECTPSP_* variables of connectpsp.ConfigFromEnv. If none is set, it says so and
// does nothing. Without -move-money it creates a charge of R$ 1.00 that stays unpaid, tries to
// refund it, and otherwise only reads. With -move-money it also pays R$ 0.01 to the PIX key in
// CONNECTPSP_TEST_PAYEE_NAME, _DOCUMENT, _PIX_KEY_TYPE and _PIX_KEY, and sets the balance to its
// present value.
//
// The exit status is 0 if all traffic follows the description or nothing was done, 3 if something
// deviates, 1 if a step failed and 2 for wrong arguments. The output is redacted: it has no secret
// and no personal data.
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

// run runs the command of the arguments and the environment, and returns the exit status.
func run(ctx context.Context, description string, arguments []string, to io.Writer) (status int, err error) {
	out := newRedactingWriter(to)
	defer func() {
		if err != nil {
			err = redactedError{err, out.redact(err.Error())}
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

// payeeFromEnv returns the payee of the environment. Its error quotes no value.
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
