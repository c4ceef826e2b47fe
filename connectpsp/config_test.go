package connectpsp_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

func setEnvironment(t *testing.T, set map[string]string) {
	for _, name := range []string{"CLIENT_ID", "CLIENT_SECRET", "APPLICATION_TOKEN", "CRYPTO_TOKEN", "ENVIRONMENT", "BASE_URL"} {
		t.Setenv("CONNECTPSP_"+name, set[name])
	}
}

func TestTheConfigurationIsReadFromTheEnvironment(t *testing.T) {
	set := map[string]string{"CLIENT_ID": "7", "CLIENT_SECRET": "a", "APPLICATION_TOKEN": "b", "CRYPTO_TOKEN": "c",
		"ENVIRONMENT": "production", "BASE_URL": "https://proxy.example"}
	setEnvironment(t, set)
	cfg, err := connectpsp.ConfigFromEnv()
	require.NoError(t, err)
	assert.Equal(t, "7", cfg.ClientID)
	assert.Equal(t, "a", cfg.ClientSecret.Reveal())
	assert.Equal(t, "b", cfg.ApplicationToken.Reveal())
	assert.Equal(t, "c", cfg.CryptoToken.Reveal())
	assert.Equal(t, connectpsp.Production, cfg.Environment)
	assert.Equal(t, "https://proxy.example", cfg.BaseURL)

	for _, name := range []string{"CRYPTO_TOKEN", "ENVIRONMENT", "BASE_URL"} {
		set[name] = ""
	}
	setEnvironment(t, set)
	cfg, err = connectpsp.ConfigFromEnv()
	require.NoError(t, err)
	assert.True(t, cfg.CryptoToken.IsZero())
	assert.Equal(t, connectpsp.Staging, cfg.Environment)
}

func TestEveryMissingVariableIsNamedAndNoValueShown(t *testing.T) {
	setEnvironment(t, map[string]string{"CLIENT_SECRET": "s3cret", "ENVIRONMENT": "prod"})
	cfg, err := connectpsp.ConfigFromEnv()
	assert.Zero(t, cfg.ClientID)
	for _, name := range []string{"CONNECTPSP_CLIENT_ID", "CONNECTPSP_APPLICATION_TOKEN", "CONNECTPSP_ENVIRONMENT"} {
		assert.ErrorContains(t, err, name)
	}
	assert.NotContains(t, err.Error(), "CLIENT_SECRET")
	assert.NotContains(t, err.Error(), "s3cret")
	assert.NotContains(t, err.Error(), `"prod"`)
}

func TestStagingIsTheDefaultEnvironment(t *testing.T) {
	assert.Equal(t, "staging", connectpsp.Config{}.Environment.String())
	assert.Equal(t, "production", connectpsp.Production.String())
	assert.Equal(t, "Environment(9)", connectpsp.Environment(9).String())
	_, err := connectpsp.New(config(""))
	assert.NoError(t, err)
	cfg := config("")
	cfg.Environment = connectpsp.Production
	_, err = connectpsp.New(cfg)
	assert.NoError(t, err)
}

func TestPlainHTTPOnAPrivateNetworkNeedsItsOptionAndIsNeverProduction(t *testing.T) {
	for baseURL, allowed := range map[string]bool{
		"http://sandbox:8420": true, "http://10.1.2.3:8420": true, "http://192.168.0.7": true, "http://[fd00::1]:8420": true,
		"http://host.docker.internal:8420": true, "http://127.0.0.1:8420": true,
		"http://sandbox.example.com": false, "http://8.8.8.8": false, "http://[2001:db8::1]": false, "https://sandbox:8420": false, "": false,
	} {
		cfg := config(baseURL)
		client, err := connectpsp.New(cfg, connectpsp.WithPrivateNetwork())
		if !allowed {
			assert.Error(t, err, baseURL)
			continue
		}
		require.NoError(t, err, baseURL)
		assert.NotNil(t, client)
		cfg.Environment = connectpsp.Production
		_, err = connectpsp.New(cfg, connectpsp.WithPrivateNetwork())
		assert.ErrorContains(t, err, "WithPrivateNetwork", baseURL)
		cfg.Environment = connectpsp.Staging
		if baseURL != "http://127.0.0.1:8420" {
			_, err = connectpsp.New(cfg)
			assert.ErrorContains(t, err, "WithPrivateNetwork is for a sandbox in another container", baseURL)
		}
	}
}

func TestWebhooksGoToAPrivateNetworkOnlyIfTheGatewayIsOnOne(t *testing.T) {
	request := connectpsp.CashInRequest{Amount: pix.Centavos(1050), ExternalReference: "order-1", WebhookURL: "http://app:3000/hooks",
		Payer: connectpsp.Payer{Name: "Test User", Document: "12345678909"}}
	gateway := newGateway(t, replyJSON(201, cashInAccepted))
	cfg := config("http://sandbox:8420")
	_, err := must(connectpsp.New(cfg, memory(gateway), connectpsp.WithPrivateNetwork())).CreateCashIn(t.Context(), request)
	require.NoError(t, err)
	cfg.BaseURL = "http://127.0.0.1:8420"
	_, err = must(connectpsp.New(cfg, memory(gateway))).CreateCashIn(t.Context(), request)
	assert.ErrorContains(t, err, "webhookUrl")
	assert.Len(t, gateway.requests(), 1)
}

func TestAHostThatMayStandForAnotherIsRefused(t *testing.T) {
	for _, baseURL := range []string{
		"https://api。connectpsp。com", "https://ａpi.connectpsp.com", "https://api.connectpſp.com", "https://api.connect\u00adpsp.com",
		"https://api.connect%C2%ADpsp.com", "https://api.\u212Aonnectpsp.com", "https://münchen.example",
	} {
		for name, check := range map[string]func(connectpsp.Config) error{
			"New":            func(c connectpsp.Config) error { return second(connectpsp.New(c)) },
			"NewTokenSource": func(c connectpsp.Config) error { return second(connectpsp.NewTokenSource(c)) },
		} {
			err := check(config(baseURL))
			var fault *connectpsp.ValidationError
			if assert.ErrorAs(t, err, &fault, "%s %q", name, baseURL) {
				assert.Equal(t, "BaseURL", fault.Field)
				assert.Contains(t, fault.Reason, "not ASCII")
			}
		}
	}
	_, err := connectpsp.New(config("https://xn--mnchen-3ya.example"))
	assert.NoError(t, err)
	for _, baseURL := range []string{"https://.", "https://api..example", "https://.example", "https://example..", "https://example:0", "https://example:65536"} {
		_, err := connectpsp.New(config(baseURL))
		assert.ErrorContains(t, err, "has a host or a port that does not exist", baseURL)
	}
}

func TestAGatewayIsTheSameHoweverItsAddressIsWritten(t *testing.T) {
	identity := func(baseURL string) string { return must(connectpsp.NewTokenSource(config(baseURL))).Identity() }
	for _, baseURL := range []string{"https://API.connectpsp.com", "https://api.connectpsp.com.", "https://api.connectpsp.com:443/",
		"https://api.connectpsp.com:0443", "https://api.connectpsp.com.:00443//", "https://api.connectpsp.com:"} {
		assert.Equal(t, identity("https://api.connectpsp.com"), identity(baseURL), baseURL)
	}
	assert.Equal(t, identity("http://[::1]:8420"), identity("http://[::1]:08420/"))
	assert.NotEqual(t, identity("https://api.connectpsp.com"), identity("https://api.connectpsp.com:8443"))
}
