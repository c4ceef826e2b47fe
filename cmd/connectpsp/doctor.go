package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/sqlstore"
)

const (
	checkTime  = 10 * time.Second // for each check
	clockDrift = time.Minute      // more is a fault
)

func (a *app) doctor() *cobra.Command {
	var webhookURL, namespace string
	command := leaf("doctor", "Check the configuration, the gateway, the webhook URL and the database",
		"doctor --webhook-url https://wallet.example/webhooks/connectpsp",
		func(ctx context.Context, _ []string) error { return a.examine(ctx, webhookURL, namespace) })
	command.Long = `Check the configuration, the way to the gateway, the credentials, the clock, the webhook URL and the
database of DATABASE_URL. Each check is a line: ok, failed or skipped, with what to do. Nothing is
changed, and no money is moved. The exit status is 1 if a check failed.

The webhook URL gets one request without a signature, which a receiver must refuse.`
	command.Flags().StringVar(&webhookURL, "webhook-url", "", "the `URL` of your receiver")
	addNamespace(command, &namespace)
	return command
}

// The results of a check.
const (
	checkOK      = "ok"
	checkFailed  = "failed"
	checkSkipped = "skipped"
)

// check is one line of doctor.
type check struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Detail string `json:"detail"`
}

// doctorResult is the JSON of doctor.
type doctorResult struct {
	Checks []check `json:"checks"`
}

func ok(format string, values ...any) (state, detail string) {
	return checkOK, fmt.Sprintf(format, values...)
}

func failed(format string, values ...any) (state, detail string) {
	return checkFailed, fmt.Sprintf(format, values...)
}

func skipped(format string, values ...any) (state, detail string) {
	return checkSkipped, fmt.Sprintf(format, values...)
}

// examination is one run of doctor.
type examination struct {
	*app
	gateway gateway
	base    *url.URL
	result  doctorResult
}

// check makes a check, unless one that it needs has failed or was skipped for that reason.
func (e *examination) check(ctx context.Context, name, needs string, do func(context.Context) (state, detail string)) {
	for _, earlier := range e.result.Checks {
		if earlier.Name == needs && (earlier.State == checkFailed || earlier.Detail == needsFirst) {
			e.result.Checks = append(e.result.Checks, check{name, checkSkipped, needsFirst})
			return
		}
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	state, detail := do(ctx)
	e.result.Checks = append(e.result.Checks, check{name, state, inShell(oneLine(strings.TrimPrefix(detail, "connectpsp: ")))})
}

const needsFirst = "needs a check that failed"

func (a *app) examine(ctx context.Context, webhookURL, namespace string) error {
	e := &examination{app: a}
	e.check(ctx, "configuration", "", e.configuration)
	e.check(ctx, "DNS", "configuration", e.dns)
	e.check(ctx, "connection", "DNS", e.connection)
	e.check(ctx, "clock", "connection", e.clock)
	e.check(ctx, "credentials", "connection", e.credentials)
	e.check(ctx, "ApplicationToken", "credentials", e.applicationToken)
	e.check(ctx, "CryptoToken", "", e.cryptoTokenIsSet)
	e.check(ctx, "webhook URL", "", func(ctx context.Context) (string, string) { return e.webhookResponds(ctx, webhookURL) })
	e.databases(ctx, namespace)

	bad := false
	var lines [][]string
	for _, one := range e.result.Checks {
		bad = bad || one.State == checkFailed
		lines = append(lines, []string{one.State, one.Name, one.Detail})
	}
	var err error
	if a.json {
		err = a.printJSON(e.result)
	} else {
		err = printTable(a.stdout, []string{"STATE", "CHECK", "DETAIL"}, lines)
	}
	if bad {
		err = errors.Join(err, errReported)
	}
	return err
}

func (e *examination) configuration(context.Context) (state, detail string) {
	var err error
	if e.gateway, err = e.app.gateway(); err != nil {
		return failed("%v", err)
	}
	if e.base, err = url.Parse(e.gateway.address); err != nil {
		return failed("CONNECTPSP_BASE_URL is not a URL")
	}
	return ok("complete, for %v", e.gateway)
}

// viaProxy reports whether a proxy of the environment makes the connection.
func (e *examination) viaProxy() bool {
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: e.base})
	return err == nil && proxy != nil
}

func (e *examination) dns(ctx context.Context) (state, detail string) {
	host := e.base.Hostname()
	if _, err := netip.ParseAddr(host); err == nil {
		return skipped("the gateway is at an IP address")
	}
	if e.viaProxy() {
		return skipped("a proxy makes the connections (HTTPS_PROXY)")
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return failed("%s has no address (%v): check the network, the resolver and CONNECTPSP_BASE_URL", host, dnsReason(err))
	}
	return ok("%s is %s", host, strings.Join(addresses, ", "))
}

func dnsReason(err error) string {
	var failure *net.DNSError
	if errors.As(err, &failure) {
		return failure.Err
	}
	return err.Error()
}

func (e *examination) connection(ctx context.Context) (state, detail string) {
	if e.viaProxy() {
		return skipped("a proxy makes the connections (HTTPS_PROXY)")
	}
	port := e.base.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[e.base.Scheme]
	}
	address := net.JoinHostPort(e.base.Hostname(), port)
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return failed("%v: check the firewall and CONNECTPSP_BASE_URL", err)
	}
	defer connection.Close()
	if e.base.Scheme == "http" {
		return ok("%s accepts connections, without TLS", address)
	}
	secure := tls.Client(connection, &tls.Config{ServerName: e.base.Hostname(), MinVersion: tls.VersionTLS12})
	if err := secure.HandshakeContext(ctx); err != nil {
		return failed("TLS: %v: check the certificates of this machine, and whether a proxy is in between", err)
	}
	with := secure.ConnectionState()
	return ok("%s, the certificate is valid until %s", tls.VersionName(with.Version), with.PeerCertificates[0].NotAfter.Local().Format(time.DateOnly))
}

// httpClient returns a client that takes the way of the SDK, and follows no redirect.
func httpClient() *http.Client {
	return &http.Client{
		Transport:     connectpsp.NewTransport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (e *examination) clock(ctx context.Context) (state, detail string) {
	client := httpClient()
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.base.String(), nil)
	if err != nil {
		return failed("%v", err)
	}
	begun := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return failed("no response: %v", err)
	}
	defer response.Body.Close()
	now := begun.Add(time.Since(begun) / 2)
	date, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return skipped("the gateway does not tell the time")
	}
	drift := now.Sub(date).Round(time.Second)
	if drift.Abs() > clockDrift {
		return failed("this machine is %v off the gateway (local time minus the gateway's): set up NTP", drift)
	}
	return ok("the gateway and this machine agree within %v", clockDrift)
}

func (e *examination) credentials(ctx context.Context) (state, detail string) {
	source, err := connectpsp.NewTokenSource(e.gateway.config, e.gateway.options()...)
	if err != nil {
		return failed("%v", err)
	}
	if _, _, err := source.Fetch(ctx); err != nil {
		return failed("%v: check CONNECTPSP_CLIENT_ID and CONNECTPSP_CLIENT_SECRET, and that they are of this gateway", err)
	}
	return ok("the gateway has issued an access token")
}

func (e *examination) applicationToken(ctx context.Context) (state, detail string) {
	client, err := e.newClient(e.gateway)
	if err != nil {
		return failed("%v", err)
	}
	if _, err := client.GetBalance(ctx); err != nil {
		return failed("the balance cannot be read: %v", err)
	}
	return ok("the balance can be read")
}

func (e *examination) cryptoTokenIsSet(context.Context) (state, detail string) {
	if e.variable("CONNECTPSP_CRYPTO_TOKEN") == "" {
		return failed("CONNECTPSP_CRYPTO_TOKEN is not set: no payment can be sent or refunded, and no webhook verified")
	}
	return ok("set; the first signed request shows whether it is right")
}

// webhookResponds sends a request without a signature.
func (e *examination) webhookResponds(ctx context.Context, target string) (state, detail string) {
	if target == "" {
		return skipped("give --webhook-url")
	}
	u, err := checkURL("--webhook-url", target)
	if err != nil {
		return failed("%v", err)
	}
	if u.Scheme != "https" && !isLoopback(u.Hostname()) && !e.private {
		return failed("the gateway sends webhooks to https addresses only")
	}
	ctx, cancel := context.WithTimeout(ctx, responseTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader("{}"))
	if err != nil {
		return failed("%v", err)
	}
	request.Header.Set("Content-Type", "application/json")
	client := httpClient()
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		return failed("no response: %s", noResponse(err))
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, bodyLimit)
	switch status := response.StatusCode; {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return ok("it responds, and refuses what is not signed (%d)", status)
	case status/100 == 2:
		return failed("it accepts a request without a signature (%d): anyone can report payments; verify with webhook.NewHandler", status)
	default:
		return failed("it responds %d to a request without a signature, and should respond 401: check the path, and that POST is routed to the receiver", status)
	}
}

// databases checks the database of DATABASE_URL and, behind PgBouncer, the mode of its driver.
func (e *examination) databases(ctx context.Context, namespace string) {
	pooler, poolerDetail := skipped(needsFirst)
	e.check(ctx, "database", "", func(ctx context.Context) (string, string) {
		if e.variable("DATABASE_URL") == "" {
			pooler, poolerDetail = skipped("DATABASE_URL is not set")
			return skipped("DATABASE_URL is not set")
		}
		db, dialect, err := e.openDatabase()
		if err != nil {
			return failed("%v", err)
		}
		defer db.Close()
		_, err = storeOf(ctx, db, dialect, namespace)
		reached := fmt.Sprintf("%v responds", dialect)
		switch {
		case errors.Is(err, errNoTables):
			pooler, poolerDetail = skipped("the service creates the tables when it starts: check again then")
			return ok("%s, and has no tables of this version and namespace yet", reached)
		case err != nil && strings.Contains(err.Error(), "behind a pooler"):
			pooler, poolerDetail = failed("%v", err)
		case err != nil:
			return failed("%v", err)
		case dialect == sqlstore.SQLite:
			pooler, poolerDetail = skipped("SQLite has none")
		default:
			pooler, poolerDetail = ok("the driver keeps nothing that a pooler would lose")
		}
		return ok("%s, and has the tables", reached)
	})
	e.result.Checks = append(e.result.Checks, check{"pooler", pooler, poolerDetail})
}
