package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// gateway is the gateway of the tour: the sandbox in this process, or staging.
type gateway struct {
	config     connectpsp.Config
	sandbox    *sandbox.Sandbox // nil on staging
	events     *receiver        // nil on staging, which cannot reach this machine
	webhookURL string           // empty on staging
}

var errNotStaging = errors.New("the quickstart sends payments to a made-up person: it runs against staging, or a gateway on this " +
	"machine, and does not run against production")

// openGateway opens staging if any of the CONNECTPSP_* variables is set, and a sandbox otherwise.
func openGateway(out io.Writer) (*gateway, error) {
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "CONNECTPSP_") && value != "" {
			return openStaging(out)
		}
	}
	box, err := sandbox.Start()
	if err != nil {
		return nil, err
	}
	events, err := startReceiver(box.Config().CryptoToken)
	if err != nil {
		_ = box.Close()
		return nil, err
	}
	fmt.Fprintf(out, "ConnectPSP quickstart against the sandbox in this process, at %s. No account, no money.\n\n", box.URL())
	return &gateway{config: box.Config(), sandbox: box, events: events, webhookURL: events.url}, nil
}

func openStaging(out io.Writer) (*gateway, error) {
	config, err := connectpsp.ConfigFromEnv()
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(config.BaseURL)
	if err != nil {
		return nil, errors.New("CONNECTPSP_BASE_URL is not a URL")
	}
	switch base.Hostname() {
	case "", "api.homologacao.connectpsp.com", "127.0.0.1", "localhost", "::1":
	default:
		return nil, errNotStaging
	}
	if config.Environment != connectpsp.Staging {
		return nil, errNotStaging
	}
	fmt.Fprint(out, "ConnectPSP quickstart against staging, with the account of the CONNECTPSP_* variables.\n\n")
	return &gateway{config: config}, nil
}

// loseNextResponse cuts the connection after the gateway has executed the next cash-out.
func (g *gateway) loseNextResponse() { g.sandbox.FailNext("createCashOut", sandbox.LoseAnswer) }

func (g *gateway) close() {
	if g.sandbox != nil {
		g.events.close()
		_ = g.sandbox.Close()
	}
}
