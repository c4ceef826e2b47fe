package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"runtime"
	"strings"
	"unicode"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// variables returns what looks variables up: in the environment or, with --env-file, in that file
// and nowhere else, so that the credentials of two gateways are not mixed.
func (a *app) variables() (func(string) string, error) {
	if a.envFile == "" {
		return a.lookup, nil
	}
	info, err := os.Stat(a.envFile) // before it is opened: a FIFO without a writer cannot be
	switch {
	case err != nil:
		return nil, usage("--env-file: %v", err)
	case !info.Mode().IsRegular():
		return nil, usage("--env-file: %s is not a regular file", a.envFile)
	case info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows": // which has no such modes
		return nil, usage("--env-file: other users have access to %s, whose mode is %#o; run: chmod 600 %s",
			a.envFile, info.Mode().Perm(), quote(a.envFile))
	}
	file, err := os.Open(a.envFile)
	if err != nil {
		return nil, usage("--env-file: %v", err)
	}
	defer file.Close()
	values, err := parseEnv(io.LimitReader(file, 1<<20))
	if err != nil {
		return nil, usage("--env-file: %v", err)
	}
	// A journal and the directory of state are no credentials.
	for _, name := range []string{"CONNECTPSP_JOURNAL", "XDG_STATE_HOME", "HOME", "LOCALAPPDATA"} {
		if _, set := values[name]; !set {
			values[name] = a.lookup(name)
		}
	}
	return func(name string) string { return values[name] }, nil
}

// parseEnv reads lines of the form NAME=VALUE, as a shell would: with export, quotes and comments.
// It expands nothing. Its error does not repeat the line.
func parseEnv(r io.Reader) (values map[string]string, err error) {
	values = map[string]string{}
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, found := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		name = strings.TrimSpace(name)
		if !found || name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return nil, fmt.Errorf("line %d is not NAME=VALUE", number)
		}
		if values[name], err = envValue(value); err != nil {
			return nil, fmt.Errorf("line %d %w", number, err)
		}
	}
	return values, lines.Err()
}

// envValue reads a value with or without quotes, and drops a comment after it.
func envValue(text string) (string, error) {
	quoted := strings.TrimSpace(text)
	if quoted == "" || quoted[0] != '"' && quoted[0] != '\'' {
		text, _, _ = strings.Cut(strings.ReplaceAll(text, "\t", " "), " #")
		return strings.TrimSpace(text), nil
	}
	value, rest, closed := strings.Cut(quoted[1:], quoted[:1])
	if rest = strings.TrimSpace(rest); !closed {
		return "", errors.New("has a quote that is not closed")
	} else if rest != "" && rest[0] != '#' {
		return "", errors.New("has more than a value in quotes")
	}
	return value, nil
}

// gateway is a configuration that the flags agree with.
type gateway struct {
	config   connectpsp.Config
	kind     gatewayKind
	identity string // of the integration at the gateway, however its URL is written
	address  string // the URL of the gateway
	private  bool   // a sandbox on a private network
}

type gatewayKind string

const (
	sandboxGateway    gatewayKind = "sandbox"
	stagingGateway    gatewayKind = "staging"
	productionGateway gatewayKind = "production"
)

// String names the gateway for people.
func (g gateway) String() string { return string(g.kind) + " at " + g.address }

// options returns the options that every client of the gateway needs.
func (g gateway) options() []connectpsp.Option {
	if g.private {
		return []connectpsp.Option{connectpsp.WithPrivateNetwork()}
	}
	return nil
}

// gateway reads the configuration, and checks that --production was given if and only if it is for
// production. Its error names every variable that is missing and repeats no value.
func (a *app) gateway() (gateway, error) {
	var missing []string
	required := func(name string) string {
		value := a.variable(name)
		if value == "" {
			missing = append(missing, name)
		}
		return value
	}
	g := gateway{private: a.private, config: connectpsp.Config{
		ClientID:         required("CONNECTPSP_CLIENT_ID"),
		ClientSecret:     auth.NewSecret(required("CONNECTPSP_CLIENT_SECRET")),
		ApplicationToken: auth.NewSecret(required("CONNECTPSP_APPLICATION_TOKEN")),
		CryptoToken:      auth.NewSecret(a.variable("CONNECTPSP_CRYPTO_TOKEN")),
		BaseURL:          a.variable("CONNECTPSP_BASE_URL"),
	}}
	if len(missing) > 0 {
		return g, usage("not set: %s; set them in the environment, or in a file of mode 0600 that --env-file names",
			strings.Join(missing, ", "))
	}
	var err error
	if g.kind, err = a.kind(); err != nil {
		return g, err
	}
	if g.kind == productionGateway {
		g.config.Environment = connectpsp.Production
	}
	source, err := connectpsp.NewTokenSource(g.config, g.options()...) // it sends nothing
	if err != nil {
		return g, badConfig(err)
	}
	g.identity = source.Identity()
	_, address, _ := strings.Cut(g.identity, " ")
	g.address = strings.TrimSuffix(address, "/")
	return g, nil
}

// badConfig is a fault of the configuration.
func badConfig(err error) error {
	return usage("%s", strings.TrimPrefix(err.Error(), "connectpsp: nothing was sent: "))
}

// kind returns the kind of the gateway, and an error unless --production agrees with it. A gateway
// at an address that is unknown counts as production unless the configuration says staging.
func (a *app) kind() (gatewayKind, error) {
	setting := a.variable("CONNECTPSP_ENVIRONMENT")
	if setting != "" && setting != "staging" && setting != "production" {
		return "", usage("CONNECTPSP_ENVIRONMENT must be staging or production")
	}
	kind, plain := stagingGateway, false
	if base := a.variable("CONNECTPSP_BASE_URL"); base == "" {
		if setting == "production" {
			kind = productionGateway
		}
	} else {
		address, err := url.Parse(base)
		if err != nil {
			return "", usage("CONNECTPSP_BASE_URL is not a URL")
		}
		host := strings.TrimSuffix(strings.ToLower(address.Hostname()), ".")
		plain = address.Scheme == "http"
		switch {
		case strings.ContainsFunc(address.Hostname(), func(r rune) bool { return r > unicode.MaxASCII }):
			return "", usage("CONNECTPSP_BASE_URL has a host that is not ASCII, which may turn into the host of production: write it as xn--…")
		case host == "api.homologacao.connectpsp.com" && setting == "production":
			return "", usage("CONNECTPSP_ENVIRONMENT says production, and CONNECTPSP_BASE_URL is staging's: unset one of them")
		case host == "api.homologacao.connectpsp.com":
		case host == "api.connectpsp.com", setting == "production":
			kind = productionGateway
		case isLoopback(host), a.private && plain:
			kind = sandboxGateway
		case setting != "staging":
			kind = productionGateway
		}
	}
	switch {
	case a.private && a.production:
		return "", usage("--private-network is for a sandbox, and --production is not: leave one out")
	case a.private && kind != sandboxGateway:
		return "", usage("--private-network is for a sandbox: set CONNECTPSP_BASE_URL to its address, such as http://sandbox:8420, " +
			"and CONNECTPSP_ENVIRONMENT to staging or nothing")
	case kind == productionGateway && setting == "" && plain:
		return "", usage("CONNECTPSP_BASE_URL is plain http, and not of this machine: add --private-network if a sandbox is there")
	case kind == productionGateway && !a.production:
		return "", usage("the configuration is for production: add --production if real money is meant, " +
			"or set CONNECTPSP_ENVIRONMENT=staging with the credentials of staging")
	case kind != productionGateway && a.production:
		return "", usage("--production was given, and the configuration is for %s: leave the flag out, or set CONNECTPSP_ENVIRONMENT=production",
			kind)
	}
	return kind, nil
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.Unmap().IsLoopback()
}

// cryptoToken returns the CryptoToken for a command that needs no other credential.
func (a *app) cryptoToken() (auth.Secret, error) {
	if _, err := a.kind(); err != nil {
		return auth.Secret{}, err
	}
	token := a.variable("CONNECTPSP_CRYPTO_TOKEN")
	if token == "" {
		return auth.Secret{}, usage("CONNECTPSP_CRYPTO_TOKEN is not set: webhooks are signed with it")
	}
	return auth.NewSecret(token), nil
}

// checkURL checks a URL of http or https.
func checkURL(flag, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usage("%s must be an http or https URL without a user, such as http://127.0.0.1:8080/webhooks", flag)
	}
	return u, nil
}

// listenError says what to do if a port cannot be listened on.
func listenError(flag string, err error) error {
	var failed *net.OpError
	if errors.As(err, &failed) {
		err = failed.Err
	}
	return fmt.Errorf("%s: the address cannot be listened on (%w): choose another", flag, err)
}

// quote writes a word for a shell.
func quote(word string) string {
	if word != "" && strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:=@%+,") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
