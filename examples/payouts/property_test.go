package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// The books are compared with a model that holds a balance and a state for each withdrawal, after
// each of any sequence of steps: in any order, repeated, and contradicting each other.
func TestTheBooksAreRightAfterAnySequenceOfSteps(t *testing.T) {
	p := newPlatform(t)
	p.execute(t, "UPDATE control SET player_limit = 20000")
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		m := &model{p: p, ctx: t.Context(), player: fmt.Sprint("player-", run), states: map[string]state{}, claims: map[string]*claim{}}
		require.NoError(rt, p.books.deposit(m.ctx, m.player, pix.Centavos(500_00)))
		m.balance = 500_00
		rt.Repeat(map[string]func(*rapid.T){
			"withdraw": m.withdraw,
			"claim":    m.claim,
			"accepted": m.accepted,
			"rejected": m.rejected,
			"webhook":  m.webhook,
			"refuse":   m.refuse,
			"":         m.check,
		})
	})
	require.NoError(t, p.books.audit(t.Context()))
}

type model struct {
	p       *platform
	ctx     context.Context
	player  string
	balance int64
	states  map[string]state
	claims  map[string]*claim
}

func (m *model) reference(t *rapid.T) string {
	return fmt.Sprint(m.player, "-", rapid.IntRange(1, 6).Draw(t, "reference"))
}

func (m *model) withdraw(t *rapid.T) {
	w := newWithdrawal(m.reference(t))
	w.player, w.amount = m.player, pix.Centavos(90_00)
	state, err := m.p.books.withdraw(m.ctx, w)
	switch {
	case errors.Is(err, errNoFunds), errors.Is(err, errFrozen):
		require.NotContains(t, m.states, w.reference)
	default:
		require.NoError(t, err)
		if known, ok := m.states[w.reference]; ok {
			require.Equal(t, known, state)
			return
		}
		m.states[w.reference] = state
		m.balance -= 90_00
	}
}

func (m *model) claim(t *rapid.T) {
	reference := m.reference(t)
	c, err := m.p.books.claim(m.ctx, reference)
	if errors.Is(err, errDone) {
		m.reload(t, reference) // a frozen player's becomes held
		return
	}
	require.NoError(t, err)
	require.Equal(t, statePending, m.states[reference])
	m.claims[reference] = c
}

func (m *model) accepted(t *rapid.T) {
	reference := m.reference(t)
	if m.claims[reference] != nil {
		require.NoError(t, m.p.books.accepted(m.ctx, reference, "transaction-"+reference))
		m.unmoved(t, reference)
	}
}

func (m *model) rejected(t *rapid.T) {
	reference := m.reference(t)
	if c := m.claims[reference]; c != nil {
		require.NoError(t, m.p.books.rejected(m.ctx, c, "INSUFFICIENT_FUNDS"))
		m.moved(t, reference, stateVoided)
	}
}

func (m *model) webhook(t *rapid.T) {
	reference := m.reference(t)
	to := rapid.SampledFrom([]webhook.Status{webhook.StatusCompleted, webhook.StatusFailed, webhook.StatusRefunded}).Draw(t, "status")
	id := rapid.SampledFrom([]string{"transaction-" + reference, "another"}).Draw(t, "transaction")
	step := webhook.Transition{Kind: webhook.KindCashOut, TransactionID: id, To: to, Contradiction: rapid.Bool().Draw(t, "contradiction"),
		CashOut: &connectpsp.CashOut{TransactionID: id, ExternalReference: reference, Amount: pix.Centavos(90_00)}}
	require.NoError(t, m.p.books.transaction(m.ctx, func(tx *sql.Tx) error { return settleIn(m.ctx, tx, step) }))
	if to == webhook.StatusFailed {
		m.moved(t, reference, stateVoided)
	} else {
		m.moved(t, reference, statePosted)
	}
}

func (m *model) refuse(t *rapid.T) {
	reference := m.reference(t)
	err := m.p.books.refuse(m.ctx, reference, "refused")
	if m.states[reference] != stateHeld {
		require.ErrorIs(t, err, errNotHeld)
		return
	}
	require.NoError(t, err)
	m.moved(t, reference, stateVoided)
}

// moved checks that a withdrawal is where it was, or has ended as told from where it may end.
func (m *model) moved(t *rapid.T, reference string, to state) {
	before := m.states[reference]
	m.reload(t, reference)
	after := m.states[reference]
	if after == before {
		return
	}
	require.Equal(t, to, after)
	require.Contains(t, []state{statePending, stateHeld}, before, "what has ended has ended for ever")
	if after == stateVoided {
		m.balance += 90_00
	}
}

func (m *model) unmoved(t *rapid.T, reference string) {
	before := m.states[reference]
	m.reload(t, reference)
	require.Equal(t, before, m.states[reference])
}

func (m *model) reload(t *rapid.T, reference string) {
	var now state
	err := m.p.db.QueryRowContext(m.ctx, `SELECT state FROM withdrawal WHERE reference = $1`, reference).Scan(&now)
	if !errors.Is(err, sql.ErrNoRows) {
		require.NoError(t, err)
		m.states[reference] = now
	}
}

func (m *model) check(t *rapid.T) {
	balance, err := m.p.books.balance(m.ctx, m.player)
	require.NoError(t, err)
	require.Equal(t, m.balance, balance.Centavos())
	require.GreaterOrEqual(t, balance.Centavos(), int64(0))
	for reference := range m.states {
		m.unmoved(t, reference)
	}
	held := int64(0)
	for _, state := range m.states {
		if state != stateVoided {
			held += 90_00
		}
	}
	require.Equal(t, int64(500_00), m.balance+held, "nothing is lost and nothing is made")
}
