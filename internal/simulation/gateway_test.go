package simulation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// gateway is the model of the payment gateway. Only the scheduler's goroutine uses it.
type gateway struct {
	variant
	schedule   *schedule
	keys       map[string]keyEntry
	references map[string]bool // those that no further payment may have
	refunded   map[string]bool // charges whose refund has settled, which are not refunded again
	payments   []*payment
	issued     int // tokens so far
	revoked    int // tokens with this number and lower ones are invalid
}

// keyEntry is stored under an idempotency key: the response to repeat, unless the request is still
// being processed.
type keyEntry struct {
	processing bool
	response   response
	since      time.Time
}

// payment is money that has moved.
type payment struct {
	id, reference, key, amount string
	refund                     bool
}

// response is an HTTP response.
type response struct {
	status     int
	body       string
	retryAfter string
	html       bool
}

func problem(status int, code string) response {
	return response{status: status, body: `{"title":"A title","status":` + strconv.Itoa(status) + `,"code":"` + code + `"}`}
}

func (r response) String() string {
	_, code, found := strings.Cut(r.body, `"code":"`)
	switch {
	case found:
		return strconv.Itoa(r.status) + " " + strings.Trim(code, `"}`)
	case r.html:
		return strconv.Itoa(r.status) + " in HTML"
	default:
		return strconv.Itoa(r.status)
	}
}

func (r response) isSuccess() bool { return r.status/100 == 2 }

var (
	insufficientFunds  = problem(422, "INSUFFICIENT_FUNDS")
	duplicateReference = problem(409, "DUPLICATE_EXTERNAL_REFERENCE")
	alreadyRefunded    = problem(422, "CASH_IN_ALREADY_REFUNDED")
	keyInUse           = problem(409, "IDEMPOTENCY_KEY_IN_USE")
	tokenExpired       = problem(401, "TOKEN_EXPIRED")
	internalError      = problem(500, "INTERNAL_ERROR")
	gatewayTimeout     = problem(504, "TIMEOUT")
	noSuchTransaction  = problem(404, "TRANSACTION_NOT_FOUND")
)

// processing is how the gateway executes a payment that has passed its checks.
type processing int

const (
	succeeds        processing = iota
	failsBeforePays            // responds with 500 and has not paid
	failsAfterPays             // responds with 500 and has paid
	goesOnAfter504             // responds with 504 and pays later
)

// message is a request as the gateway receives it.
type message struct {
	number            int // grows with every request
	method, path, key string
	reference, amount string
	token             int
	body              string
	refund            bool
}

func (m message) String() string {
	if m.reference == "" {
		return fmt.Sprintf("%s %s (request %d)", m.method, m.path, m.number)
	}
	return fmt.Sprintf("%s (request %d, key %.4s)", m.reference, m.number, m.key)
}

func (g *gateway) receive(m message, p processing) response {
	r := g.respond(m, p)
	if g.schedule.tracing {
		g.schedule.note("the gateway responds to %v: %v", m, r)
	}
	return r
}

func (g *gateway) respond(m message, p processing) response {
	if m.path == "/auth/token" {
		g.issued++
		body := fmt.Sprintf(`{"accessToken":"header.payload.%d","tokenType":"Bearer","expiresIn":86400}`, g.issued)
		return response{status: 200, body: body}
	}
	if m.token <= g.revoked {
		return tokenExpired
	}
	if m.method == "GET" {
		return g.read(m)
	}
	for _, check := range checkOrders[g.checks] {
		if r, refused := g.check(check, m); refused {
			return r
		}
	}
	return g.process(m, p)
}

func (g *gateway) read(m message) response {
	if id, isCharge := strings.CutPrefix(m.path, "/cash-in/"); isCharge {
		return g.readCharge(chargeOf(id))
	}
	for _, p := range g.payments {
		if m.path == "/cash-out/"+p.id {
			return p.response(200)
		}
	}
	return noSuchTransaction
}

// readCharge responds with a charge, which was paid before the schedule began.
func (g *gateway) readCharge(id string) response {
	ids, status := `"endToEndId":"`+endToEndOf(id)+`"`, "PAID"
	if g.refunded[id] {
		ids, status = `"endToEndId":"D","originalEndToEndId":"`+endToEndOf(id)+`"`, "REFUNDED"
	}
	return response{status: 200, body: `{"transactionId":"` + id + `","internalCode":"` + codeOf(id) + `",` + ids +
		`,"status":"` + status + `"}`}
}

func (p *payment) response(status int) response {
	if p.refund {
		return response{status: status, body: `{"transactionId":"` + p.id + `","internalCode":"` + p.id + `C","endToEndId":"D"}`}
	}
	return response{status: status, body: `{"transactionId":"` + p.id + `","internalCode":"` + p.id + `C","externalReference":"` +
		p.reference + `","status":"PROCESSING","amount":` + p.amount + `}`}
}

// check makes one check. It reports whether the request ends with its response.
func (g *gateway) check(which checkKind, m message) (r response, refused bool) {
	switch which {
	case checkKey:
		entry, known := g.lookUpKey(m.key)
		switch {
		case !known:
			return r, false
		case entry.processing:
			return keyInUse, true
		default:
			return entry.response, true
		}
	case checkReference:
		if !g.refunded[m.reference] && (g.ignoresReferences || !g.references[m.reference]) {
			return r, false
		}
		r = duplicateReference
		if m.refund {
			r = alreadyRefunded
		}
		g.store(m.key, r)
		return r, true
	default:
		if g.hasFunds() {
			return r, false
		}
		g.store(m.key, insufficientFunds)
		if g.burnsReferences {
			g.references[m.reference] = true
		}
		return insufficientFunds, true
	}
}

func (g *gateway) lookUpKey(key string) (keyEntry, bool) {
	entry, known := g.keys[key]
	if !known {
		return entry, false
	}
	switch {
	case g.memory == forgetsAtOnce,
		g.memory == forgetsLater && !entry.processing && time.Since(entry.since) > keyLifetime,
		g.memory == forgetsSometimes && g.schedule.choices.choose(2, 40) == 1:
		delete(g.keys, key)
		return entry, false
	}
	return entry, true
}

// store stores a response under a key. An error is stored only by a gateway that stores errors, and
// never replaces a success or the mark that the key is in use.
func (g *gateway) store(key string, r response) {
	if entry, known := g.keys[key]; known && (entry.processing || entry.response.isSuccess()) && !r.isSuccess() {
		return
	}
	if r.isSuccess() || g.storesErrors {
		g.keys[key] = keyEntry{response: r, since: time.Now()}
	}
}

func (g *gateway) hasFunds() bool {
	switch g.funds {
	case enoughFunds:
		return true
	case fundsForOne:
		return len(g.payments) == 0
	case fundsComeAndGo:
		return g.schedule.choices.choose(2, 50) == 0
	default:
		return false
	}
}

// process executes a payment that has passed the checks.
func (g *gateway) process(m message, p processing) response {
	switch p {
	case failsBeforePays:
		g.store(m.key, internalError)
		return internalError
	case failsAfterPays:
		paid := g.pay(m)
		if g.storesErrors && !g.ignoresReferences {
			g.keys[m.key] = keyEntry{response: internalError, since: time.Now()}
		} else if g.ignoresReferences {
			g.store(m.key, paid)
		}
		return internalError
	case goesOnAfter504:
		g.processLater(m)
		return gatewayTimeout
	default:
		paid := g.pay(m)
		g.store(m.key, paid)
		return paid
	}
}

// processLater executes a payment after the response. Now and then the gateway gives it up.
func (g *gateway) processLater(m message) {
	if !g.unlocked {
		g.keys[m.key] = keyEntry{processing: true, since: time.Now()}
	}
	if !g.reservesLate {
		g.references[m.reference] = true
	}
	g.schedule.later(g.schedule.drawDelay(15*time.Minute), func() {
		if g.keys[m.key].processing {
			delete(g.keys, m.key)
		}
		switch {
		case !g.ignoresReferences && g.hasPaid(m.reference):
			if g.schedule.tracing {
				g.schedule.note("the gateway drops %v, which is paid already", m)
			}
		case g.schedule.choices.choose(4, 30) == 1:
			g.references[m.reference] = g.burnsReferences || g.hasPaid(m.reference)
			if g.schedule.tracing {
				g.schedule.note("the gateway gives up %v", m)
			}
		default:
			g.schedule.counters.add("gateway", "paid late")
			g.store(m.key, g.pay(m))
		}
	})
}

func (g *gateway) hasPaid(reference string) bool {
	return slices.ContainsFunc(g.payments, func(p *payment) bool { return p.reference == reference })
}

// pay moves the money.
func (g *gateway) pay(m message) response {
	paid := &payment{id: "t" + strconv.Itoa(len(g.payments)+1), reference: m.reference, key: m.key, amount: m.amount, refund: m.refund}
	if m.refund { // its response has the id of the charge
		g.schedule.later(g.schedule.drawDelay(time.Minute), func() { g.refunded[m.reference] = true })
		paid.id, paid.amount = m.reference, g.schedule.orderOf(m.reference).amount.String()
	}
	g.payments = append(g.payments, paid)
	g.references[m.reference] = true
	if g.schedule.tracing {
		g.schedule.note("the gateway pays %v as %s", m, paid.id)
	}
	g.schedule.checker.paid(m)
	return paid.response(202)
}

// aboutAnotherPayment is the response to a request of another client.
func aboutAnotherPayment(status int) response {
	return response{status: status, body: `{"transactionId":"other","internalCode":"otherC","externalReference":"other","amount":1.00,` +
		`"endToEndId":"D","originalEndToEndId":"` + endToEndOf("order9-9") + `"}`}
}

const endToEndPrefix = "E13935893202603101827"

// codeOf and endToEndOf return the other two ids of the charge with a transaction id.
func codeOf(id string) string { return id + "C" }

func endToEndOf(id string) string { return endToEndPrefix + strings.Replace(id, "-", "x", 1) + "ABC" }

// chargeOf returns the transaction id of the charge that has the id, which is any of the three.
func chargeOf(id string) string {
	if rest, found := strings.CutPrefix(id, endToEndPrefix); found {
		id = strings.Replace(strings.TrimSuffix(rest, "ABC"), "x", "-", 1)
	}
	return strings.TrimSuffix(id, "C")
}
