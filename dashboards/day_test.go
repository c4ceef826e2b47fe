package dashboards

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// badDay is six hours in which nearly everything happens.
func badDay(s *shop) {
	s.pass(50 * time.Minute)

	s.network.set(unreachable) // an outage of the network
	s.pass(6 * time.Minute)
	s.network.set(mute) // and one of the gateway
	s.pass(4 * time.Minute)
	s.network.clear()
	s.pass(30 * time.Minute)

	s.network.set(oneMute()) // a payment stays open until support says that it was not made
	s.pass(25 * time.Minute)
	s.network.clear()
	s.pass(10 * time.Minute)
	open, err := s.journal.Pending(s.ctx)
	s.do(err)
	for _, intent := range open {
		s.do(s.journal.Finish(s.ctx, intent.IdempotencyKey, connectpsp.OutcomeRejected, ""))
	}

	s.do(s.gateway.FailNext("createCashOut", sandbox.TooManyRequests, sandbox.BrokenJSON, sandbox.OtherAnswer))
	s.do(s.gateway.RefuseNext("createCashIn", 422, "PAYER_LIMIT"))
	s.pass(10 * time.Minute)
	s.do(s.gateway.RefuseNext("createCashOut", 422, "INSUFFICIENT_FUNDS"))
	s.gateway.RevokeTokens()
	s.pass(30 * time.Minute)

	for range 25 { // forged webhooks
		s.post()
		s.pass(10 * time.Second)
	}
	s.pass(20 * time.Minute)
	s.inbox.down.Store(true) // the database is down
	s.pass(7 * time.Minute)
	s.inbox.down.Store(false)
	s.pass(20 * time.Minute)
	s.stopWorker() // no worker runs
	s.pass(8 * time.Minute)
	s.startWorker()
	s.pass(20 * time.Minute)
	s.function.set(always[webhook.Transition]) // the function fails
	s.pass(5 * time.Minute)
	s.function.set(func(webhook.Transition) error { panic("a bug") })
	s.pass(2 * time.Minute)
	s.function.clear()
	s.pass(20 * time.Minute)

	twice, late, failed := s.charged(), s.charged(), s.sent()
	s.do(s.gateway.CancelCashIn(late), s.worker.WatchCashIn(s.ctx, late), s.gateway.PayCashIn(twice),
		s.gateway.FailCashOut(failed, "PIX_KEY_NOT_FOUND", "no such key"))
	s.pass(10 * time.Minute)
	s.do(s.gateway.PayCashInWith(twice, sandbox.Payment{}), s.gateway.PayCashInWith(late, sandbox.Payment{}))
	s.pass(10 * time.Minute)
	s.do(s.gateway.ContradictCashOut(failed))
	_, err = s.client.GetBalance(s.ctx)
	s.do(err)
	s.pass(50 * time.Minute)
	require.Len(s.t, s.inbox.Held(), 1)
}
