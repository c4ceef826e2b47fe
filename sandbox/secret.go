package sandbox

import (
	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// Config returns the base URL and the credentials of the sandbox, for [connectpsp.New]. Its
// CryptoToken is also the secret that webhooks are signed with. It is the present one, see
// [Sandbox.RotateCryptoToken].
func (s *Sandbox) Config() connectpsp.Config {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.config
}

// RotateCryptoToken replaces the CryptoToken by a new one, which [Sandbox.Config] returns from now
// on. The gateway refuses the DigitalSignature of the old one with INVALID_SIGNATURE, and signs
// webhooks, waiting ones too, with the new one. The fault [PreviousSignature] signs a webhook with
// the old one.
func (s *Sandbox) RotateCryptoToken() {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.config.CryptoToken.Reveal()
	s.rotations++
	rotated := s.credentials.uuid(cryptoTokens, s.rotations)
	s.config.CryptoToken = auth.NewSecret(rotated)
	s.dispatcher.setSecrets(rotated, old)
}
