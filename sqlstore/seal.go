package sqlstore

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"

	"github.com/connectpsp/connectpsp-go/auth"
)

const shortestKey = 32

var (
	errShortKey = errors.New("sqlstore: the key that encrypts the access token must have 32 characters at least: " +
		"make one with openssl rand -hex 32; nothing was sent")
	errOtherKey = errors.New("sqlstore: the stored access token is encrypted with another key, or is of another integration: " +
		"give all processes the same key, or delete the row of the table connectpsp_token to change it; nothing was sent")
)

// sealer returns the AES-256-GCM that encrypts tokens with a key.
func sealer(key auth.Secret) (cipher.AEAD, error) {
	if len(key.Reveal()) < shortestKey {
		return nil, errShortKey
	}
	derived, err := hkdf.Key(sha256.New, []byte(key.Reveal()), nil, "connectpsp sqlstore token", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal encrypts a token. It can be opened as one of the same integration only.
func seal(aead cipher.AEAD, token auth.Secret, integration string) []byte {
	return aead.Seal(nil, nil, []byte(token.Reveal()), []byte(integration))
}

func open(aead cipher.AEAD, sealed []byte, integration string) (auth.Secret, error) {
	token, err := aead.Open(nil, nil, sealed, []byte(integration))
	if err != nil {
		return auth.Secret{}, errOtherKey
	}
	return auth.NewSecret(string(token)), nil
}
