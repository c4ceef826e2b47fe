package connectpsp

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"unicode"

	"github.com/connectpsp/connectpsp-go/auth"
)

// Environment is one of the provider's two gateways.
type Environment uint8

const (
	// Staging ("homologação") moves no real money. It is the zero value.
	Staging Environment = iota
	// Production moves real money.
	Production
)

// String returns "staging" or "production".
func (e Environment) String() string {
	switch e {
	case Staging:
		return "staging"
	case Production:
		return "production"
	default:
		return fmt.Sprintf("Environment(%d)", uint8(e))
	}
}

func (e Environment) baseURL() string {
	switch e {
	case Staging:
		return "https://api.homologacao.connectpsp.com"
	case Production:
		return "https://api.connectpsp.com"
	default:
		return ""
	}
}

// Config holds the credentials of an integration, and selects the gateway. Secrets in it
// print as [redacted].
type Config struct {
	// ClientID and ClientSecret are exchanged for access tokens. Both are required. The default
	// idempotency keys are derived from ClientID: with another one, a repeated payment gets another
	// key.
	ClientID     string
	ClientSecret auth.Secret

	// ApplicationToken identifies the integration on every request. It is required.
	ApplicationToken auth.Secret

	// CryptoToken signs cash-outs, refunds and rebalances, and is the secret of webhooks. Without
	// it those three operations fail with a [*ValidationError] before anything is sent; all others
	// work.
	CryptoToken auth.Secret

	// Environment selects the gateway. The zero value is Staging.
	Environment Environment

	// BaseURL, if set, is used in place of the environment's, for a proxy or a sandbox. It must be
	// https, or http on a loopback address, without user, query or fragment, and its host in ASCII:
	// other letters may stand for the host of production. See also [WithPrivateNetwork].
	BaseURL string
}

// ConfigFromEnv reads a Config from CONNECTPSP_CLIENT_ID, CONNECTPSP_CLIENT_SECRET,
// CONNECTPSP_APPLICATION_TOKEN (all required), CONNECTPSP_CRYPTO_TOKEN, CONNECTPSP_ENVIRONMENT
// ("staging", the default, or "production") and CONNECTPSP_BASE_URL. Its error names every variable
// that is missing or wrong and repeats no value.
func ConfigFromEnv() (Config, error) {
	var faults []error
	required := func(name string) string {
		value := os.Getenv(name)
		if value == "" {
			faults = append(faults, fmt.Errorf("connectpsp: the environment variable %s is not set", name))
		}
		return value
	}
	config := Config{
		ClientID:         required("CONNECTPSP_CLIENT_ID"),
		ClientSecret:     auth.NewSecret(required("CONNECTPSP_CLIENT_SECRET")),
		ApplicationToken: auth.NewSecret(required("CONNECTPSP_APPLICATION_TOKEN")),
		CryptoToken:      auth.NewSecret(os.Getenv("CONNECTPSP_CRYPTO_TOKEN")),
		BaseURL:          os.Getenv("CONNECTPSP_BASE_URL"),
	}
	switch os.Getenv("CONNECTPSP_ENVIRONMENT") {
	case "", Staging.String():
		config.Environment = Staging
	case Production.String():
		config.Environment = Production
	default:
		faults = append(faults, errors.New(
			`connectpsp: the environment variable CONNECTPSP_ENVIRONMENT must be "staging" or "production"`))
	}
	if err := errors.Join(faults...); err != nil {
		return Config{}, err
	}
	return config, nil
}

// validate returns the base URL to use and every fault of the configuration as a
// [*ValidationError].
func (c Config) validate(private bool) (*url.URL, faults) {
	var faults faults
	faults.credential("ClientID", c.ClientID)
	for _, secret := range []struct {
		field    string
		value    auth.Secret
		optional bool
	}{
		{"ClientSecret", c.ClientSecret, false},
		{"ApplicationToken", c.ApplicationToken, false},
		{"CryptoToken", c.CryptoToken, true},
	} {
		if !secret.optional || !secret.value.IsZero() {
			faults.credential(secret.field, secret.value.Reveal())
		}
	}
	if c.Environment.baseURL() == "" {
		faults.add("Environment", InvalidChoice, "must be Staging or Production")
		return nil, faults
	}
	base := faults.baseURL(cmp.Or(c.BaseURL, c.Environment.baseURL()), private)
	if private && (c.Environment != Staging || c.BaseURL == "" || base != nil && base.Scheme != "http") {
		faults.add("WithPrivateNetwork", InvalidOption, "is for a sandbox: it needs a BaseURL of http and the Environment Staging")
	}
	return base, faults
}

// credential checks that a value is set and can be sent in a header as it is.
func (f *faults) credential(field, value string) {
	const reason = "must be set, in visible ASCII characters without spaces"
	switch {
	case value == "":
		f.add(field, InvalidEmpty, reason)
	case strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }):
		f.add(field, InvalidCredential, reason)
	}
}

// baseURL returns the URL of a gateway, nil if it has a fault.
func (f *faults) baseURL(text string, private bool) *url.URL {
	base, err := url.Parse(text)
	switch {
	case err != nil || base.Opaque != "" || base.Hostname() == "":
		f.add("BaseURL", InvalidURL, "is not an absolute URL")
	case strings.ContainsFunc(base.Hostname(), func(r rune) bool { return r > unicode.MaxASCII }):
		f.add("BaseURL", InvalidURL, "has a host that is not ASCII: connecting may turn it into the host of another gateway; write it as xn--…")
	case !isHost(base.Hostname()) || !isPort(base.Port()):
		f.add("BaseURL", InvalidURL, "has a host or a port that does not exist")
	case base.User != nil || base.RawQuery != "" || base.ForceQuery || base.Fragment != "":
		f.add("BaseURL", InvalidURLParts, "must have no user, query or fragment")
	case base.Scheme == "https" || base.Scheme == "http" && (isLoopback(base.Hostname()) || private && isPrivate(base.Hostname())):
		return normal(base)
	default:
		f.add("BaseURL", InvalidURLScheme, "must be https, or http on a loopback address; WithPrivateNetwork is for a sandbox in another container")
	}
	return nil
}

// isHost reports whether a host has no empty label. One dot at its end is allowed.
func isHost(host string) bool {
	return host != "." && !strings.HasPrefix(host, ".") && !strings.Contains(host, "..")
}

// isPort reports whether the port of a URL exists. It may be empty.
func isPort(port string) bool {
	number, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && number > 0
}

// normal writes the URL of a gateway in one way: scheme and host in lower case, no dot at the end
// of the host, no default port, no zero before the port, no slash at the end.
func normal(base *url.URL) *url.URL {
	normal := *base
	normal.Scheme = strings.ToLower(base.Scheme)
	host, port := strings.TrimSuffix(strings.ToLower(base.Hostname()), "."), strings.TrimLeft(base.Port(), "0")
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" && port != map[string]string{"https": "443", "http": "80"}[normal.Scheme] {
		host += ":" + port
	}
	normal.Host = host
	normal.Path, normal.RawPath = strings.TrimRight(base.Path, "/"), strings.TrimRight(base.RawPath, "/")
	return &normal
}

// normalURL is normal for text that another version or a person may have written.
func normalURL(text string) string {
	base, err := url.Parse(text)
	if err != nil {
		return text
	}
	return normal(base).String()
}

// localHosts returns which hosts webhooks may go to in plain http: none, unless the gateway is on
// loopback or on a private network too.
func (s settings) localHosts(base *url.URL) func(host string) bool {
	switch {
	case s.private:
		return func(host string) bool { return isLoopback(host) || isPrivate(host) }
	case isLoopback(base.Hostname()):
		return isLoopback
	default:
		return func(string) bool { return false }
	}
}

// isPrivate reports whether a host is an address of a private network, or a name that only a
// private network gives.
func isPrivate(host string) bool {
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap().IsPrivate()
	}
	return !strings.Contains(host, ".") && !strings.Contains(host, ":") || strings.HasSuffix(strings.ToLower(host), ".internal")
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}
