package connectpsp_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
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
