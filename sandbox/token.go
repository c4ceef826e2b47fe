package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/signing"
)

// RevokeTokens revokes every access token that the gateway has issued: it responds to them with 401
// TOKEN_EXPIRED from now on.
func (s *Sandbox) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// issuedToken is the body of the response to a token request.
type issuedToken struct {
	AccessToken string    `json:"accessToken"`
	TokenType   string    `json:"tokenType"`
	ExpiresIn   int       `json:"expiresIn"` // in seconds
	IssuedAt    time.Time `json:"issuedAt"`
}

// authToken issues a token that differs from all earlier ones, even within the same second.
func (s *Sandbox) authToken(req request) (any, error) {
	clientID, clientSecret := req.body.text("clientId"), req.body.text("clientSecret")
	if err := req.body.err(); err != nil {
		return nil, err
	}
	if clientID != s.config.ClientID || clientSecret != s.config.ClientSecret.Reveal() {
		return nil, refuse(http.StatusUnauthorized, "INVALID_CREDENTIALS", "The client id or the client secret is wrong.")
	}
	issuedAt := s.Now()
	expiresAt := issuedAt.Add(s.settings.tokenLifetime)
	token := s.newJWTLocked(issuedAt, expiresAt)
	s.tokens[token] = expiresAt
	return issuedToken{
		AccessToken: token,
		TokenType:   "Bearer",
		ExpiresIn:   int(s.settings.tokenLifetime / time.Second),
		IssuedAt:    issuedAt.Truncate(time.Second),
	}, nil
}

// newJWTLocked makes a token like the gateway's, signed with HS256. The sandbox does not verify it:
// its list of tokens decides, and is more exact than the whole seconds of a JWT.
func (s *Sandbox) newJWTLocked(issuedAt, expiresAt time.Time) string {
	claims := struct {
		Subject  string `json:"sub"`
		IssuedAt int64  `json:"iat"`
		Expires  int64  `json:"exp"`
		ID       string `json:"jti"`
	}{s.config.ClientID, issuedAt.Unix(), expiresAt.Unix(), s.chance.uuid(tokenIDs, s.drawLocked(tokenIDs))}
	payload, _ := json.Marshal(claims) // texts and numbers cannot fail
	encode := base64.RawURLEncoding.EncodeToString
	unsigned := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(payload)
	return unsigned + "." + encode(signing.Sum(string(s.signingKey), []byte(unsigned)))
}

// authorizeLocked checks the credentials in the headers of a request.
func (s *Sandbox) authorizeLocked(op operation, header http.Header) error {
	if op.Public {
		return nil
	}
	token, hasToken := strings.CutPrefix(header.Get("Authorization"), "Bearer ")
	expiresAt, known := s.tokens[token]
	if !hasToken || !known || !s.clock.now().Before(expiresAt) {
		return refuse(http.StatusUnauthorized, "TOKEN_EXPIRED", "The access token is missing, unknown or expired.")
	}
	if header.Get(auth.ApplicationTokenHeader) != s.config.ApplicationToken.Reveal() {
		return refuse(http.StatusUnauthorized, "INVALID_APPLICATION_TOKEN", "The ApplicationToken is missing or unknown.")
	}
	if op.Signed && header.Get(signing.Header) != signing.Sign(s.config.CryptoToken.Reveal(), token) {
		return refuse(http.StatusUnprocessableEntity, "INVALID_SIGNATURE",
			"The DigitalSignature is missing or is not that of this access token.")
	}
	return nil
}
