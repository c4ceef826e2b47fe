package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sandbox/control"
)

// sandboxFlags are those of sandbox.
type sandboxFlags struct {
	address string
	port    int
	seed    uint64
	state   string
	hosts   []string
	check   bool
}

func (a *app) sandbox() *cobra.Command {
	var f sandboxFlags
	command := leaf("sandbox", "Serve the gateway in memory, without an account and without money", "sandbox\nsandbox --state sandbox.json",
		func(ctx context.Context, _ []string) error { return a.serveSandbox(ctx, &f) })
	command.Long = `Serve the gateway in memory on this machine, until Ctrl-C, with a page at / and an API under
/_sandbox/v1 that play the payer and the banks. It needs no account and no network, and moves no
money. Its credentials are those of --seed, the same each time, and are printed for a shell, for a
.env file and for Go: they are no secrets.`
	flags := command.Flags()
	flags.StringVar(&f.address, "address", loopback, "the `ADDRESS` to listen on; on another than loopback webhooks go to private networks too")
	flags.IntVar(&f.port, "port", sandboxPort, "the `PORT`; 0 chooses a free one")
	flags.Uint64Var(&f.seed, "seed", 1, "the `NUMBER` that credentials and ids derive from")
	flags.StringVar(&f.state, "state", "", "go on from the state in `FILE`, and write it there at the end")
	flags.StringSliceVar(&f.hosts, "allow-host", nil, "another `NAME` under which the page and the API may be reached")
	flags.BoolVar(&f.check, "check", false, "serve nothing, and say whether a sandbox on --port is ready")
	return command
}

// checkSandbox returns an error unless a sandbox on this machine is ready.
func checkSandbox(ctx context.Context, port int) error {
	_, err := ask(ctx, http.MethodGet, "http://"+net.JoinHostPort(loopback, strconv.Itoa(port))+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("no sandbox is ready: %w", err)
	}
	return nil
}

func (a *app) serveSandbox(ctx context.Context, f *sandboxFlags) (err error) {
	if f.check {
		return checkSandbox(ctx, f.port)
	}
	address, err := netip.ParseAddr(f.address)
	if err != nil {
		return usage("--address must be an IP address, such as 127.0.0.1, or 0.0.0.0 in a container")
	}
	if a.production {
		return usage("--production was given, and a sandbox is none: leave the flag out")
	}
	options := []sandbox.Option{sandbox.WithSeed(f.seed)}
	if !address.IsLoopback() {
		options = append(options, sandbox.WithPrivateNetwork())
	}
	box, err := sandbox.Start(options...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close()) }()
	if err := restore(box, f.state); err != nil {
		return err
	}
	socket, err := listenOn(f.address, f.port)
	if err != nil {
		return err
	}
	config := box.Config()
	config.BaseURL = "http://" + socket.Addr().String()
	if !address.IsLoopback() {
		a.say("everybody who reaches %s may do everything with this sandbox", config.BaseURL)
	}
	if err := a.printCredentials(config); err != nil {
		return errors.Join(err, socket.Close())
	}
	a.say("the sandbox and its page are at %s; stop it with Ctrl-C", config.BaseURL)
	return errors.Join(serve(ctx, socket, control.New(box, control.WithHosts(f.hosts...))), save(box, f.state))
}

const (
	loopback    = "127.0.0.1"
	sandboxPort = 8420
)

// listenOn listens on the address and the port of flags.
func listenOn(address string, port int) (net.Listener, error) {
	if port < 0 || port > 65535 {
		return nil, usage("--port must be from 0 to 65535")
	}
	socket, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
	if err != nil {
		return nil, listenError("--port", err)
	}
	return socket, nil
}

// restore makes a sandbox go on from the state in a file, at the present time. A file that is not
// there yet, or no path, changes nothing.
func restore(box *sandbox.Sandbox, path string) error {
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return usage("--state: %v", err)
	}
	if err := box.Restore(text); err != nil {
		return usage("--state: %s is not the state of a sandbox, or of another version: name another file (%v)", path, err)
	}
	if now := time.Now(); now.After(box.Now()) {
		return box.SetTime(now)
	}
	return nil
}

// save writes the state of a sandbox to a file as a whole or not at all.
func save(box *sandbox.Sandbox, path string) error {
	if path == "" {
		return nil
	}
	text, err := box.Snapshot()
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".connectpsp-sandbox-*") // of mode 0600
	if err != nil {
		return fmt.Errorf("--state: the state is lost: %w", err)
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("--state: the state is lost: %w", err), os.Remove(file.Name()))
	}
	return nil
}

// credentialsResult is the JSON of sandbox: the credentials of the gateway that it serves.
type credentialsResult struct {
	BaseURL          string `json:"baseUrl"`
	ClientID         string `json:"clientId"`
	ClientSecret     string `json:"clientSecret"`
	ApplicationToken string `json:"applicationToken"`
	CryptoToken      string `json:"cryptoToken"`
}

// printCredentials prints the credentials of a sandbox, the only ones that this program prints.
func (a *app) printCredentials(config connectpsp.Config) error {
	r := credentialsResult{config.BaseURL, config.ClientID, config.ClientSecret.Reveal(), config.ApplicationToken.Reveal(), config.CryptoToken.Reveal()}
	if a.json {
		return a.printJSON(r)
	}
	variables := [][2]string{
		{"CONNECTPSP_BASE_URL", r.BaseURL}, {"CONNECTPSP_CLIENT_ID", r.ClientID}, {"CONNECTPSP_CLIENT_SECRET", r.ClientSecret},
		{"CONNECTPSP_APPLICATION_TOKEN", r.ApplicationToken}, {"CONNECTPSP_CRYPTO_TOKEN", r.CryptoToken},
	}
	text := "# for a shell\n"
	for _, variable := range variables {
		text += "export " + variable[0] + "=" + variable[1] + "\n"
	}
	text += "\n# for a .env file\n"
	for _, variable := range variables {
		text += variable[0] + "=" + variable[1] + "\n"
	}
	text += fmt.Sprintf("\n// for Go\nconnectpsp.Config{\n\tClientID:         %q,\n\tClientSecret:     auth.NewSecret(%q),\n"+
		"\tApplicationToken: auth.NewSecret(%q),\n\tCryptoToken:      auth.NewSecret(%q),\n\tBaseURL:          %q,\n}\n\n",
		r.ClientID, r.ClientSecret, r.ApplicationToken, r.CryptoToken, r.BaseURL)
	_, err := fmt.Fprint(a.stdout, text)
	return written(err)
}
