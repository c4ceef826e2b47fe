package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
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
	time    string
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
	flags.StringVar(&f.address, "address", loopback, "the `ADDRESS` to listen on; unless it is loopback, webhooks go to private networks too")
	flags.IntVar(&f.port, "port", sandboxPort, "the `PORT`; 0 chooses a free one")
	flags.Uint64Var(&f.seed, "seed", 1, "the `NUMBER` that credentials and ids derive from")
	flags.StringVar(&f.time, "time", "", "stop the clock at this `TIME`, such as 2026-01-31T12:00:00Z: with the same --seed and calls the bytes are the same")
	flags.StringVar(&f.state, "state", "", "go on from the state in `FILE`, and write it there before each response")
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
	if f.time != "" {
		at, err := time.Parse(time.RFC3339, f.time)
		if err != nil || at.UTC().Year() < 2000 || at.UTC().Year() > 2199 {
			return usage("--time must be a time from the year 2000 to 2199, such as 2026-01-31T12:00:00Z")
		}
		options = append(options, sandbox.WithTime(at))
	}
	if !address.IsLoopback() {
		options = append(options, sandbox.WithPrivateNetwork())
	}
	box, err := sandbox.Start(options...)
	if err != nil {
		return err
	}
	var overdue sync.WaitGroup
	defer overdue.Wait() // it ends with the box
	defer func() { err = errors.Join(err, box.Close()) }()
	handler := control.New(box, control.WithHosts(f.hosts...))
	if f.state != "" {
		saved := &stateFile{app: a, box: box, path: linked(f.state)}
		if err := saved.restore(f.time == ""); err != nil {
			return err
		}
		handler = saved.keep(handler)
		defer func() { err = errors.Join(err, saved.save()) }() // deliveries have ended since the last request
		// Charges that are overdue expire. It waits for receivers, and the port opens meanwhile.
		overdue.Go(func() { _ = box.Advance(0) })
	}
	socket, err := listenOn(f.address, f.port)
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(socket.Addr().String())
	if err != nil {
		return errors.Join(err, socket.Close())
	}
	config := box.Config()
	config.BaseURL = "http://" + net.JoinHostPort(reachedAt(address), port)
	if err := a.printCredentials(config); err != nil {
		return errors.Join(err, socket.Close())
	}
	a.say("the sandbox and its page are at %s; stop it with Ctrl-C", config.BaseURL)
	if !address.IsLoopback() {
		a.say("anyone who reaches port %s of this machine controls this sandbox", port)
	}
	for _, host := range f.hosts {
		a.say("it is at http://%s too: give the commands there --private-network, and a client in Go connectpsp.WithPrivateNetwork()",
			net.JoinHostPort(host, port))
	}
	return serve(ctx, socket, handler)
}

// reachedAt returns the host at which this machine reaches what listens on an address.
func reachedAt(address netip.Addr) string {
	switch {
	case address == netip.IPv6Unspecified():
		return netip.IPv6Loopback().String()
	case address.IsUnspecified():
		return loopback
	default:
		return address.String()
	}
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
		return nil, fmt.Errorf("%w, or stop the sandbox that may be running", listenError("--port", err))
	}
	return socket, nil
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
