package sandbox

import (
	"time"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
)

// Reset makes the sandbox what [Start] returned, at the same URL and with the same options: it has
// its first credentials and balances, its clock shows the real time or that of [WithTime], and it
// has no transaction, fault, delivery or request. Access tokens are gone. Ids begin anew: the same
// calls get the same ids again, so start the database of the program under test anew too.
func (s *Sandbox) Reset() {
	s.moving.Lock()
	defer s.moving.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dispatcher.mu.Lock()
	defer s.dispatcher.mu.Unlock()
	s.clock.offset.Store(0)
	cryptoToken := s.credentials.uuid(cryptoTokens, 0)
	s.config = connectpsp.Config{
		ClientID:         s.credentials.text("ClientID", 0, 4, digits[1:]),
		ClientSecret:     auth.NewSecret(s.credentials.uuid("ClientSecret", 0)),
		ApplicationToken: auth.NewSecret(s.credentials.uuid("ApplicationToken", 0)),
		CryptoToken:      auth.NewSecret(cryptoToken),
		BaseURL:          s.baseURL,
	}
	s.rotations = 0
	s.keyLifetime, s.uniqueReferences, s.repeatedRefusals = s.settings.keyLifetime, s.settings.uniqueReferences, s.settings.repeatedRefusals
	s.failures, s.recurrences = make(map[string][]failure), make(map[string][]recurrence)
	s.latency, s.limit = 0, rateLimit{}
	s.requests = nil
	s.tokens = make(map[string]time.Time)
	s.drawn = make(map[string]uint64)
	s.executed = make(map[string]execution)
	s.charges, s.payments, s.nextExpiry = nil, nil, never
	s.cashIns, s.cashInReferences = make(map[string]*cashIn), make(map[string]bool)
	s.cashOuts, s.cashOutReferences = make(map[string]*cashOut), make(map[string]bool)
	s.held = nil
	s.transactional, s.proprietary = s.settings.transactional.Centavos(), s.settings.proprietary.Centavos()
	s.balanceUpdatedAt = s.Now()
	s.dispatcher.secret, s.dispatcher.oldSecret = cryptoToken, s.credentials.uuid("CryptoToken before the first", 0)
	clear(s.dispatcher.sent)
	s.dispatcher.restoreLocked(0, nil, nil)
}
