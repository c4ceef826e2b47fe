package control

import (
	"net/http"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// latest is how many of each kind the state has.
const latest = 200

// state is everything that the page shows. Of each kind it has the latest, the newest last.
type state struct {
	Now           time.Time  `json:"now"`
	Transactional pix.Amount `json:"transactionalBalance"`
	Proprietary   pix.Amount `json:"proprietaryBalance"`
	CashIns       []cashIn   `json:"cashIns"`
	CashOuts      []cashOut  `json:"cashOuts"`
	Deliveries    []delivery `json:"deliveries"`
	Requests      []request  `json:"requests"`
}

// cashIn is a charge with how much of its last payment has been returned, and whether a refund has
// been accepted and has not arrived.
type cashIn struct {
	connectpsp.CashIn
	Returned       pix.Amount `json:"returnedAmount,omitzero"`
	RefundUnderWay bool       `json:"refundUnderWay,omitzero"`
}

// cashOut is a payment with how much has been returned.
type cashOut struct {
	connectpsp.CashOut
	Returned pix.Amount `json:"returnedAmount,omitzero"`
}

// delivery is one attempt to deliver a webhook.
type delivery struct {
	Time          time.Time         `json:"time"`
	EventType     string            `json:"eventType"`
	TransactionID string            `json:"transactionId"`
	URL           string            `json:"url"`
	EventID       string            `json:"eventId,omitzero"`
	Attempt       int               `json:"attempt"`
	StatusCode    int               `json:"statusCode,omitzero"`
	Error         string            `json:"error,omitzero"`
	Header        map[string]string `json:"header,omitzero"`
	Body          string            `json:"body,omitzero"`
}

// request is a request that the gateway has received. Text has no secrets and no personal data.
type request struct {
	Time              time.Time     `json:"time"`
	Operation         string        `json:"operation,omitzero"`
	Method            string        `json:"method"`
	Path              string        `json:"path"`
	IdempotencyKey    string        `json:"idempotencyKey,omitzero"`
	ExternalReference string        `json:"externalReference,omitzero"`
	StatusCode        int           `json:"statusCode,omitzero"`
	Fault             sandbox.Fault `json:"fault,omitzero"`
	Text              string        `json:"text"`
}

func stateOf(s *sandbox.Sandbox) state {
	transactional, proprietary := s.Balances()
	return state{
		Now: s.Now(), Transactional: transactional, Proprietary: proprietary,
		CashIns: cashInsOf(s, last(s.CashIns(), latest)), CashOuts: cashOutsOf(s, last(s.CashOuts(), latest)),
		Deliveries: deliveriesOf(s, latest), Requests: requestsOf(s, latest),
	}
}

// last returns the last n elements, all of them if n is 0. It never returns nil, which JSON would
// have as null.
func last[E any](all []E, n int) []E {
	if n > 0 {
		all = all[max(0, len(all)-n):]
	}
	return append([]E{}, all...)
}

func cashInsOf(s *sandbox.Sandbox, charges []connectpsp.CashIn) []cashIn {
	all := []cashIn{}
	for _, charge := range charges {
		all = append(all, cashInOf(s, charge))
	}
	return all
}

// cashInOf returns a charge with its returns. After a reset meanwhile there are none.
func cashInOf(s *sandbox.Sandbox, charge connectpsp.CashIn) cashIn {
	returned, _ := s.Returned(charge.TransactionID)
	refunded, _ := s.RefundUnderWay(charge.TransactionID)
	return cashIn{charge, returned, refunded}
}

func cashOutsOf(s *sandbox.Sandbox, payments []connectpsp.CashOut) []cashOut {
	all := []cashOut{}
	for _, payment := range payments {
		all = append(all, cashOutOf(s, payment))
	}
	return all
}

// cashOutOf is cashInOf for a payment.
func cashOutOf(s *sandbox.Sandbox, payment connectpsp.CashOut) cashOut {
	returned, _ := s.Returned(payment.TransactionID)
	return cashOut{payment, returned}
}

func deliveriesOf(s *sandbox.Sandbox, n int) []delivery {
	deliveries := []delivery{}
	for _, d := range last(s.Deliveries(), n) {
		header, body := s.Sent(d.EventID)
		deliveries = append(deliveries, delivery{
			Time: d.Time, EventType: d.EventType, TransactionID: d.TransactionID, URL: d.URL, EventID: d.EventID, Attempt: d.Attempt,
			StatusCode: d.StatusCode, Error: d.Error, Header: firsts(header), Body: string(body),
		})
	}
	return deliveries
}

func firsts(header http.Header) map[string]string {
	values := map[string]string{}
	for name := range header {
		values[name] = header.Get(name)
	}
	return values
}

func requestsOf(s *sandbox.Sandbox, n int) []request {
	requests := []request{}
	for _, r := range last(s.Requests(), n) {
		requests = append(requests, request{
			Time: r.Time, Operation: r.Operation, Method: r.Method, Path: r.Path, IdempotencyKey: r.IdempotencyKey,
			ExternalReference: r.ExternalReference, StatusCode: r.StatusCode, Fault: r.Fault, Text: r.String(),
		})
	}
	return requests
}
