package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/connectpsp/connectpsp-go/pix"
)

// snapshotVersion is the version of the form of a snapshot. It changes with every change that a
// sandbox of an earlier version cannot read.
const snapshotVersion = 1

// snapshot is the state of a sandbox as a snapshot has it.
type snapshot struct {
	Version          int                     `json:"version"`
	Time             time.Time               `json:"time"`
	Transactional    pix.Amount              `json:"transactional"`
	Proprietary      pix.Amount              `json:"proprietary"`
	BalanceUpdatedAt time.Time               `json:"balanceUpdatedAt"`
	Charges          []*cashIn               `json:"charges"`
	ChargeIDs        map[string]int          `json:"chargeIds"` // the place in Charges, for each id
	Payments         []*cashOut              `json:"payments"`
	PaymentIDs       map[string]int          `json:"paymentIds"` // the place in Payments, for each id
	Keys             map[string]execution    `json:"keys"`
	Drawn            map[string]uint64       `json:"drawn"`
	Failures         map[string][]failure    `json:"failures"`
	Recurrences      map[string][]recurrence `json:"recurrences,omitzero"`
	Latency          time.Duration           `json:"latency"` // in nanoseconds
	Limit            rateLimit               `json:"limit"`
	Held             []*event                `json:"held"`
	Queued           uint64                  `json:"queued"`
	Pending          []queuedDelivery        `json:"pending"`
	Deliveries       []Delivery              `json:"deliveries"`
}

// Snapshot returns the state of the sandbox as JSON, for [Sandbox.Restore]: the time, balances,
// transactions, idempotency keys, webhooks, faults, and how many ids were drawn. It has no
// credentials, no access tokens, no requests and no options. It has names, documents and keys of
// the transactions. A webhook that is under way counts as not sent.
func (s *Sandbox) Snapshot() ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.dispatcher.mu.RLock()
	defer s.dispatcher.mu.RUnlock()
	state := snapshot{
		Version:          snapshotVersion,
		Time:             s.Now(),
		Transactional:    pix.Centavos(s.transactional),
		Proprietary:      pix.Centavos(s.proprietary),
		BalanceUpdatedAt: s.balanceUpdatedAt,
		Charges:          s.charges,
		ChargeIDs:        placesOf(s.charges, s.cashIns),
		Payments:         s.payments,
		PaymentIDs:       placesOf(s.payments, s.cashOuts),
		Keys:             s.executed,
		Drawn:            s.drawn,
		Failures:         s.failures,
		Recurrences:      s.recurrences,
		Latency:          s.latency,
		Limit:            s.limit,
		Held:             s.held,
		Queued:           s.dispatcher.queued,
		Pending:          s.dispatcher.pendingLocked(),
		Deliveries:       s.dispatcher.deliveries,
	}
	text, err := json.Marshal(state)
	if err != nil {
		return nil, fmt.Errorf("sandbox: the snapshot cannot be encoded: %w", err)
	}
	return text, nil
}

// placesOf returns the place of each id's transaction.
func placesOf[T any](all []*T, byID map[string]*T) map[string]int {
	places := make(map[*T]int, len(all))
	for i, one := range all {
		places[one] = i
	}
	ids := make(map[string]int, len(byID))
	for id, one := range byID {
		ids[id] = places[one]
	}
	return ids
}

// Restore replaces the state of the sandbox by that of a snapshot, which another sandbox may have
// taken. The clock goes to the time of the snapshot, back too. Credentials and options stay those
// of this sandbox, and so do the rules of [Sandbox.SetKeyLifetime] and the methods after it. Access
// tokens are gone, so clients fetch new ones, and so are the requests of [Sandbox.Requests]. Ids go
// on where the snapshot was taken, so sandboxes with the same seed go on alike. The error wraps
// [ErrInvalid] if the snapshot cannot be read, and nothing has changed then.
func (s *Sandbox) Restore(text []byte) error {
	state, err := decodeSnapshot(text)
	if err != nil {
		return err
	}
	s.moving.Lock()
	defer s.moving.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dispatcher.mu.Lock()
	defer s.dispatcher.mu.Unlock()
	s.clock.set(state.Time)
	s.transactional, s.proprietary = state.Transactional.Centavos(), state.Proprietary.Centavos()
	s.balanceUpdatedAt = state.BalanceUpdatedAt
	s.charges, s.payments, s.nextExpiry = state.Charges, state.Payments, time.Time{}
	s.cashIns, s.cashInReferences = make(map[string]*cashIn), make(map[string]bool)
	s.cashOuts, s.cashOutReferences = make(map[string]*cashOut), make(map[string]bool)
	for id, place := range state.ChargeIDs {
		s.cashIns[id] = s.charges[place]
	}
	for id, place := range state.PaymentIDs {
		s.cashOuts[id] = s.payments[place]
	}
	for _, charge := range s.charges {
		s.cashInReferences[charge.ExternalReference] = true
	}
	for _, payment := range s.payments {
		s.cashOutReferences[payment.ExternalReference] = true
	}
	s.executed, s.drawn, s.failures = orEmpty(state.Keys), orEmpty(state.Drawn), orEmpty(state.Failures)
	s.recurrences = orEmpty(state.Recurrences)
	s.latency, s.limit, s.held = state.Latency, state.Limit, state.Held
	s.requests = nil
	clear(s.tokens)
	s.dispatcher.restoreLocked(state.Queued, state.Pending, state.Deliveries)
	return nil
}

func orEmpty[M ~map[K]V, K comparable, V any](m M) M {
	if m == nil {
		return make(M)
	}
	return m
}

// decodeSnapshot decodes a snapshot. Its error wraps ErrInvalid.
func decodeSnapshot(text []byte) (*snapshot, error) {
	var version struct {
		Version int `json:"version"`
	}
	if json.Unmarshal(text, &version) != nil || version.Version == 0 {
		return nil, fmt.Errorf("%w: this is no snapshot of a sandbox", ErrInvalid)
	}
	if version.Version != snapshotVersion {
		return nil, fmt.Errorf("%w: the snapshot has version %d and this sandbox reads version %d: take a new one",
			ErrInvalid, version.Version, snapshotVersion)
	}
	state := new(snapshot)
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(state); err != nil {
		return nil, fmt.Errorf("%w: the snapshot cannot be decoded", ErrInvalid)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) || !state.isWhole() {
		return nil, fmt.Errorf("%w: the snapshot is damaged", ErrInvalid)
	}
	for _, charge := range state.Charges {
		charge.Movements = orEmpty(charge.Movements)
	}
	for _, payment := range state.Payments {
		payment.Movements = orEmpty(payment.Movements)
	}
	return state, nil
}

// isWhole reports whether a sandbox can go on from a state.
func (state *snapshot) isWhole() bool {
	for operation, failures := range state.Failures {
		for _, f := range failures {
			applies := f.Fault.ofRequests() && isOperation(operation) && (f.Code == "" || isRefusal(f.Status, f.Code))
			if !applies && !(f.Fault.ofWebhooks() && slices.Contains(eventTypes, operation)) {
				return false
			}
		}
	}
	for operation, recurrences := range state.Recurrences {
		for _, r := range recurrences {
			if !r.isWhole(operation) {
				return false
			}
		}
	}
	for _, places := range []struct {
		ids   map[string]int
		count int
	}{{state.ChargeIDs, len(state.Charges)}, {state.PaymentIDs, len(state.Payments)}} {
		for _, place := range places.ids {
			if place < 0 || place >= places.count {
				return false
			}
		}
	}
	for _, execution := range state.Keys {
		if !repeatable(execution.Response.Status) {
			return false
		}
	}
	numbers := make(map[uint64]bool)
	for _, q := range state.Pending {
		if q.Event == nil || q.Attempt < 1 || q.Attempt > maxAttempts || q.Number > state.Queued || numbers[q.Number] {
			return false
		}
		numbers[q.Number] = true
	}
	return !slices.Contains(state.Charges, nil) && !slices.Contains(state.Payments, nil) && !slices.Contains(state.Held, nil) &&
		!state.Time.Before(earliestTime) && !state.Time.After(latestTime) && state.Latency >= 0 && isLimit(state.Limit.PerSecond, state.Limit.Burst)
}
