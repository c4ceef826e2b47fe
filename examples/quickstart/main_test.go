package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/internal/contract"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

func environment(t *testing.T, variables map[string]string) {
	for _, name := range []string{"CLIENT_ID", "CLIENT_SECRET", "APPLICATION_TOKEN", "CRYPTO_TOKEN", "ENVIRONMENT", "BASE_URL"} {
		t.Setenv("CONNECTPSP_"+name, variables[name])
	}
}

func TestTheQuickstartVerifiesEveryStepWithoutSetUp(t *testing.T) {
	environment(t, nil)
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out))
	// In the order of a payment's life.
	rest := out.String()
	for _, word := range []string{
		"AWAITING_PAYMENT", "CASHIN_PAID", "PAID", "CASHIN_REFUNDED", "REFUNDED", "PROCESSING", "CASHOUT_COMPLETED", "COMPLETED",
		"paid once, not twice", "Everything was verified.",
	} {
		_, after, found := strings.Cut(rest, word)
		require.True(t, found, "%q is missing in %s", word, out.String())
		rest = after
	}
}

// stagingLike is a sandbox that stands for staging: the program knows only its address and
// credentials.
func stagingLike(t *testing.T) map[string]string {
	box, err := sandbox.Start(sandbox.WithMiddleware(contract.New(t).Middleware))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, box.Close()) })
	config := box.Config()
	return map[string]string{
		"CLIENT_ID":         config.ClientID,
		"CLIENT_SECRET":     config.ClientSecret.Reveal(),
		"APPLICATION_TOKEN": config.ApplicationToken.Reveal(),
		"CRYPTO_TOKEN":      config.CryptoToken.Reveal(),
		"BASE_URL":          config.BaseURL,
	}
}

func TestOnStagingTheQuickstartSaysWhatItCouldNotVerify(t *testing.T) {
	environment(t, stagingLike(t))
	var out bytes.Buffer
	assert.ErrorIs(t, run(t.Context(), &out), errNotAllVerified)
	assert.Contains(t, out.String(), "AWAITING_PAYMENT")
	assert.Contains(t, out.String(), "PROCESSING")
	assert.Contains(t, out.String(), "– nobody pays it here")
	assert.NotContains(t, out.String(), "Everything was verified")
}

func TestTheQuickstartNeverRunsAgainstProduction(t *testing.T) {
	for _, change := range []map[string]string{
		{"ENVIRONMENT": "production"},
		{"ENVIRONMENT": "production", "BASE_URL": ""},
		{"BASE_URL": "https://API.connectpsp.com"},
		{"BASE_URL": "https://api.connectpsp.com:443/"},
		{"BASE_URL": "https://api.connectpsp.com."},
		{"BASE_URL": "https://proxy.example"},
	} {
		variables := stagingLike(t)
		for name, value := range change {
			variables[name] = value
		}
		environment(t, variables)
		var out bytes.Buffer
		assert.ErrorContains(t, run(t.Context(), &out), "does not run against production")
		assert.Empty(t, out.String())
	}
}

func TestAHalfSetEnvironmentIsAnErrorNotASandbox(t *testing.T) {
	environment(t, map[string]string{"CLIENT_ID": "7"})
	assert.ErrorContains(t, run(t.Context(), &bytes.Buffer{}), "CONNECTPSP_CLIENT_SECRET")
}

func TestTheQuickstartFailsWhereTheGatewayDoes(t *testing.T) {
	environment(t, stagingLike(t))
	t.Setenv("CONNECTPSP_CLIENT_SECRET", "wrong")
	assert.ErrorContains(t, run(t.Context(), &bytes.Buffer{}), "INVALID_CREDENTIALS")

	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	environment(t, nil)
	assert.Error(t, run(ctx, &bytes.Buffer{}))
}
