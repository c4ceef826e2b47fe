package sandbox_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/signing"
)

func TestATokenIsASignedJWTThatStatesItsLifetime(t *testing.T) {
	g := start(t, sandbox.WithTokenLifetime(90*time.Second))
	before := g.Now().Truncate(time.Second)
	var token token
	g.post("/auth/token", fmt.Sprintf(`{"clientId":%q,"clientSecret":%q}`,
		g.Config().ClientID, g.Config().ClientSecret.Reveal())).into(200, &token)

	assert.Equal(t, "Bearer", token.TokenType)
	assert.Equal(t, 90, token.ExpiresIn)
	assert.False(t, token.IssuedAt.Before(before))
	assert.Equal(t, time.UTC, token.IssuedAt.Location())

	parts := strings.Split(token.AccessToken, ".")
	require.Len(t, parts, 3)
	var head, claims map[string]any
	for i, into := range []*map[string]any{&head, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, into))
	}
	assert.Equal(t, map[string]any{"alg": "HS256", "typ": "JWT"}, head)
	assert.InDelta(t, 90, claims["exp"].(float64)-claims["iat"].(float64), 0)
	assert.Equal(t, g.Config().ClientID, claims["sub"])
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	require.NoError(t, err)
	assert.Len(t, signature, 32)
}

func TestTokensDifferAndStayValidBesideEachOther(t *testing.T) {
	g := start(t)
	first := g.token
	second := g.newToken()
	assert.NotEqual(t, first, second)
	for _, g.token = range []string{first, second} {
		g.transactional()
	}
}

func TestWrongCredentialsAreRefused(t *testing.T) {
	g := start(t)
	for _, body := range []string{
		fmt.Sprintf(`{"clientId":"0","clientSecret":%q}`, g.Config().ClientSecret.Reveal()),
		fmt.Sprintf(`{"clientId":%q,"clientSecret":"wrong"}`, g.Config().ClientID),
	} {
		g.post("/auth/token", body).problem(401, "INVALID_CREDENTIALS")
	}
}

func TestATokenExpires(t *testing.T) {
	g := start(t, sandbox.WithTokenLifetime(time.Minute))
	g.Advance(time.Minute - 20*time.Second)
	g.transactional()
	g.Advance(20 * time.Second)
	g.get("/account/balance").problem(401, "TOKEN_EXPIRED")
	g.token = g.newToken()
	g.transactional()
}

func TestRevokedTokensAreRefusedAndNewOnesAreNot(t *testing.T) {
	g := start(t)
	g.RevokeTokens()
	g.get("/account/balance").problem(401, "TOKEN_EXPIRED")
	g.token = g.newToken()
	g.transactional()
}

func TestEveryOperationButOneNeedsTheTokens(t *testing.T) {
	g := startUnchecked(t)
	for _, operation := range sandbox.Operations() {
		if operation.Public {
			continue
		}
		path := strings.ReplaceAll(operation.Path, "{id}", "x")
		for _, authorization := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "Basic " + g.token, g.token} {
			g.send(operation.Method, path, "{}", header("Authorization", authorization)).problem(401, "TOKEN_EXPIRED")
		}
		for _, token := range []string{"", "7d8f1c5e-2a31-4f0b-9c55-0f6f3f1f8a10"} {
			g.send(operation.Method, path, "{}", header("ApplicationToken", token)).problem(401, "INVALID_APPLICATION_TOKEN")
		}
	}
}

func TestMoneyOutNeedsTheSignatureOfTheTokenThatIsSent(t *testing.T) {
	g := startUnchecked(t)
	cryptoToken := g.Config().CryptoToken.Reveal()
	signed := 0
	for _, operation := range sandbox.Operations() {
		if !operation.Signed {
			continue
		}
		signed++
		path := strings.ReplaceAll(operation.Path, "{id}", "x")
		for name, signature := range map[string]string{
			"none":             "",
			"of another token": signing.Sign(cryptoToken, g.newToken()),
			"with another key": signing.Sign("key", g.token),
			"in upper case":    strings.ToUpper(signing.Sign(cryptoToken, g.token)),
			"with the scheme":  signing.Sign(cryptoToken, "Bearer "+g.token),
		} {
			t.Run(operation.Path+" "+name, func(t *testing.T) {
				g.post(path, "{}", header("DigitalSignature", signature)).problem(422, "INVALID_SIGNATURE")
			})
		}
	}
	assert.Equal(t, 3, signed)
}
