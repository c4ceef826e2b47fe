package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

func (a *app) sandbox() *cobra.Command {
	var port int
	command := leaf("sandbox", "Serve the gateway in memory, without an account and without money", "sandbox --port 4010",
		func(ctx context.Context, _ []string) error { return a.serveSandbox(ctx, port) })
	command.Long = `Serve the gateway in memory on this machine, until Ctrl-C. It needs no account and no network, and
moves no money. Its credentials are printed for a shell, for a .env file and for Go: they are no
secrets.`
	command.Flags().IntVar(&port, "port", 4010, "the `PORT` on 127.0.0.1; 0 chooses a free one")
	return command
}

func (a *app) serveSandbox(ctx context.Context, port int) (err error) {
	if port < 0 || port > 65535 {
		return usage("--port must be from 0 to 65535")
	}
	if a.production {
		return usage("--production was given, and a sandbox is none: leave the flag out")
	}
	socket, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return listenError("--port", err)
	}
	box, err := sandbox.Start()
	if err != nil {
		return errors.Join(err, socket.Close())
	}
	defer func() { err = errors.Join(err, box.Close()) }()
	config := box.Config()
	config.BaseURL = "http://" + socket.Addr().String()
	if err := a.printCredentials(config); err != nil {
		return errors.Join(err, socket.Close())
	}
	a.say("the sandbox listens on %s; stop it with Ctrl-C", config.BaseURL)
	return serve(ctx, socket, box)
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
