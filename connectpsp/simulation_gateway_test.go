package connectpsp_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// variant is what kind of gateway a schedule has. How the real one does these things is not
// published.
type variant struct {
	memory          memoryKind
	funds           fundsKind
	checks          int  // the place of its order of checks in orderOfChecks
	storesErrors    bool // an answer that is no success is kept under its key too, and repeated
	unlocked        bool // a request whose key is in use is not told so
	reservesLate    bool // a reference is taken when the payment is made, not when the work on it begins
	burnsReferences bool // a refused payment does not leave its reference free
	// ignoresReferences is the one gateway on which only keys stand between a payment and its
	// double. It keeps them for thirty minutes at least, and callers repeat within twenty only.
	ignoresReferences bool
}

type memoryKind int

const (
	remembers memoryKind = iota
	forgetsSometimes
	forgetsLater
	forgetsAtOnce
)

// keyLife is how long a gateway that forgets later remembers a key.
const keyLife = 30 * time.Minute

type fundsKind int

const (
	plenty fundsKind = iota
	enoughForOne
	comingAndGoing
	noFunds
)

type check int

const (
	checkKey check = iota
	checkReference
	checkFunds
)

var orderOfChecks = [][]check{
	{checkKey, checkReference, checkFunds},
	{checkKey, checkFunds, checkReference},
	{checkReference, checkKey, checkFunds},
	{checkReference, checkFunds, checkKey},
	{checkFunds, checkKey, checkReference},
	{checkFunds, checkReference, checkKey},
}

func drawVariant(c *choices) variant {
	v := variant{
		memory:       memoryKind(c.choose(4, 60)),
		funds:        fundsKind(c.choose(4, 55)),
		checks:       c.choose(len(orderOfChecks), 80),
		storesErrors: c.choose(2, 50) == 1,
		unlocked:     c.choose(2, 40) == 1,
		reservesLate: c.choose(2, 30) == 1,
	}
	v.burnsReferences = c.choose(2, 10) == 1
	if c.choose(2, 10) == 1 {
		v.ignoresReferences, v.unlocked = true, false
		if v.memory == forgetsSometimes || v.memory == forgetsAtOnce {
			v.memory = forgetsLater
		}
	}
	return v
}

func (v variant) String() string {
	return strings.Join(v.traits(), ", ")
}

// traits says all that is true of the variant, for traces and figures.
func (v variant) traits() []string {
	traits := []string{
		[]string{"keys kept for ever", "keys forgotten now and then", "keys forgotten after 30 minutes", "keys forgotten at once"}[v.memory],
		[]string{"plenty of funds", "funds for one payment", "funds that come and go", "no funds"}[v.funds],
	}
	order := "checks"
	for _, check := range orderOfChecks[v.checks] {
		order += []string{" key", " reference", " funds"}[check]
	}
	traits = append(traits, order)
	for _, trait := range []struct {
		is   bool
		name string
	}{
		{v.storesErrors, "stores errors under keys"},
		{v.unlocked, "does not lock keys"},
		{v.reservesLate, "takes references late"},
		{v.burnsReferences, "a refusal takes the reference"},
		{v.ignoresReferences, "does not look at references"},
	} {
		if trait.is {
			traits = append(traits, trait.name)
		}
	}
	return traits
}

// gatewayModel is the gateway of one schedule. It lives on the driver's goroutine alone.
type gatewayModel struct {
	variant
	world      *world
	keys       map[string]keyEntry
	references map[string]bool // those that a further payment may not have
	refunded   map[string]bool // charges whose refund has settled; a further one is refused, as is published
	payments   []*payment
	issued     int // tokens so far
	revoked    int // tokens up to this one are not valid
}

// keyEntry is what is kept under a key: that somebody works on it, or the answer to repeat.
type keyEntry struct {
	running bool
	answer  answerModel
	since   time.Time
}

// payment is money that moved.
type payment struct {
	id, reference, key, amount string
	number                     int // of its request
	refund                     bool
}

// answerModel is what goes over the wire.
type answerModel struct {
	status     int
	body       string
	retryAfter string
	page       bool
}

func problemAnswer(status int, code string) answerModel {
	return answerModel{status: status, body: `{"title":"A title","status":` + strconv.Itoa(status) + `,"code":"` + code + `"}`}
}

func (a answerModel) String() string {
	_, code, found := strings.Cut(a.body, `"code":"`)
	switch {
	case found:
		return strconv.Itoa(a.status) + " " + strings.Trim(code, `"}`)
	case a.page:
		return strconv.Itoa(a.status) + " with a page"
	default:
		return strconv.Itoa(a.status)
	}
}

var (
	insufficientFunds  = problemAnswer(422, "INSUFFICIENT_FUNDS")
	duplicateReference = problemAnswer(409, "DUPLICATE_EXTERNAL_REFERENCE")
	alreadyRefunded    = problemAnswer(422, "CASH_IN_ALREADY_REFUNDED")
	keyInUse           = problemAnswer(409, "IDEMPOTENCY_KEY_IN_USE")
	tokenExpired       = problemAnswer(401, "TOKEN_EXPIRED")
	internalError      = problemAnswer(500, "INTERNAL_ERROR")
	gatewayTimeout     = problemAnswer(504, "TIMEOUT")
	noSuchTransaction  = problemAnswer(404, "TRANSACTION_NOT_FOUND")
)

// mode is how the gateway treats a payment that passes its checks.
type mode int

const (
	prompt      mode = iota
	failsBefore      // answers 500 and has done nothing
	failsAfter       // answers 500 and has paid
	takesLong        // answers 504 and goes on working
)

// receive answers one request.
func (g *gatewayModel) receive(m message, how mode) answerModel {
	answer := g.decide(m, how)
	if g.world.tracing {
		g.world.note("the gateway answers %v: %v", m, answer)
	}
	return answer
}

func (g *gatewayModel) decide(m message, how mode) answerModel {
	if m.path == "/auth/token" {
		g.issued++
		return answerModel{status: 200, body: fmt.Sprintf(`{"accessToken":"header.payload.%d","tokenType":"Bearer","expiresIn":86400}`, g.issued)}
	}
	if m.token <= g.revoked {
		return tokenExpired
	}
	if m.method == "GET" {
		return g.read(m)
	}
	for _, check := range orderOfChecks[g.checks] {
		if answer, ends := g.check(check, m); ends {
			return answer
		}
	}
	return g.work(m, how)
}

func (g *gatewayModel) read(m message) answerModel {
	if id, charge := strings.CutPrefix(m.path, "/cash-in/"); charge {
		return g.readCharge(chargeOf(id))
	}
	for _, payment := range g.payments {
		if m.path == "/cash-out/"+payment.id {
			return payment.answer(200)
		}
	}
	return noSuchTransaction
}

// readCharge answers with a charge: it was paid before the schedule began.
func (g *gatewayModel) readCharge(id string) answerModel {
	ids, status := `"endToEndId":"`+endToEndOf(id)+`"`, "PAID"
	if g.refunded[id] {
		ids, status = `"endToEndId":"D","originalEndToEndId":"`+endToEndOf(id)+`"`, "REFUNDED"
	}
	return answerModel{status: 200, body: `{"transactionId":"` + id + `","internalCode":"` + codeOf(id) + `",` + ids + `,"status":"` + status + `"}`}
}

func (p *payment) answer(status int) answerModel {
	if p.refund {
		return answerModel{status: status, body: `{"transactionId":"` + p.id + `","internalCode":"` + p.id + `C","endToEndId":"D"}`}
	}
	return answerModel{status: status, body: `{"transactionId":"` + p.id + `","internalCode":"` + p.id + `C","externalReference":"` + p.reference +
		`","status":"PROCESSING","amount":` + p.amount + `}`}
}

// check makes one of the checks, and reports whether its answer ends the request.
func (g *gatewayModel) check(which check, m message) (answer answerModel, ends bool) {
	switch which {
	case checkKey:
		entry, known := g.recall(m.key)
		switch {
		case !known:
			return answer, false
		case entry.running:
			return keyInUse, true
		default:
			return entry.answer, true
		}
	case checkReference:
		if !g.refunded[m.reference] && (g.ignoresReferences || !g.references[m.reference]) {
			return answer, false
		}
		answer := duplicateReference
		if m.refund {
			answer = alreadyRefunded
		}
		g.store(m.key, answer)
		return answer, true
	default:
		if g.funded() {
			return answer, false
		}
		g.store(m.key, insufficientFunds)
		if g.burnsReferences {
			g.references[m.reference] = true
		}
		return insufficientFunds, true
	}
}

// recall looks a key up, if the gateway has not forgotten it.
func (g *gatewayModel) recall(key string) (keyEntry, bool) {
	entry, known := g.keys[key]
	if !known {
		return entry, false
	}
	switch {
	case g.memory == forgetsAtOnce,
		g.memory == forgetsLater && !entry.running && time.Since(entry.since) > keyLife,
		g.memory == forgetsSometimes && g.world.choices.choose(2, 40) == 1:
		delete(g.keys, key)
		return entry, false
	}
	return entry, true
}

// store keeps an answer under a key. Errors are kept only where that is the gateway's way, and
// never in place of a success.
func (g *gatewayModel) store(key string, answer answerModel) {
	success := answer.status/100 == 2
	if entry, known := g.keys[key]; known && (entry.running || entry.answer.status/100 == 2) && !success {
		return
	}
	if success || g.storesErrors {
		g.keys[key] = keyEntry{answer: answer, since: time.Now()}
	}
}

func (g *gatewayModel) funded() bool {
	switch g.funds {
	case plenty:
		return true
	case enoughForOne:
		return len(g.payments) == 0
	case comingAndGoing:
		return g.world.choices.choose(2, 50) == 0
	default:
		return false
	}
}

// work treats a payment that passed the checks.
func (g *gatewayModel) work(m message, how mode) answerModel {
	switch how {
	case failsBefore:
		g.store(m.key, internalError)
		return internalError
	case failsAfter:
		paid := g.pay(m)
		if g.storesErrors && !g.ignoresReferences {
			g.keys[m.key] = keyEntry{answer: internalError, since: time.Now()}
		} else if g.ignoresReferences {
			g.store(m.key, paid)
		}
		return internalError
	case takesLong:
		g.begin(m)
		return gatewayTimeout
	default:
		paid := g.pay(m)
		g.store(m.key, paid)
		return paid
	}
}

// begin starts work that goes on after the answer. It ends in a payment or, now and then, in
// nothing.
func (g *gatewayModel) begin(m message) {
	if !g.unlocked {
		g.keys[m.key] = keyEntry{running: true, since: time.Now()}
	}
	if !g.reservesLate {
		g.references[m.reference] = true
	}
	g.world.later(g.world.drawDelay(15*time.Minute), func() {
		if entry := g.keys[m.key]; entry.running {
			delete(g.keys, m.key)
		}
		switch {
		case !g.ignoresReferences && g.isPaid(m.reference):
			if g.world.tracing {
				g.world.note("the gateway drops %v, which is paid already", m)
			}
		case g.world.choices.choose(4, 30) == 1:
			g.references[m.reference] = g.burnsReferences || g.isPaid(m.reference)
			if g.world.tracing {
				g.world.note("the gateway gives up %v", m)
			}
		default:
			g.world.figures.add("gateway", "paid late")
			g.store(m.key, g.pay(m))
		}
	})
}

func (g *gatewayModel) isPaid(reference string) bool {
	return slices.ContainsFunc(g.payments, func(p *payment) bool { return p.reference == reference })
}

// pay moves the money.
func (g *gatewayModel) pay(m message) answerModel {
	paid := &payment{id: "t" + strconv.Itoa(len(g.payments)+1), reference: m.reference, key: m.key, amount: m.amount, number: m.number, refund: m.refund}
	if m.refund {
		g.world.later(g.world.drawDelay(time.Minute), func() { g.refunded[m.reference] = true })
		paid.id, paid.amount = m.reference, g.world.orderOf(m.reference).amount.String() // the charge's own
	}
	g.payments = append(g.payments, paid)
	g.references[m.reference] = true
	if g.world.tracing {
		g.world.note("the gateway pays %v as %s", m, paid.id)
	}
	g.world.judge.paid(m)
	return paid.answer(202)
}

// another is the answer to a request of somebody else.
func another(status int) answerModel {
	return answerModel{status: status, body: `{"transactionId":"other","internalCode":"otherC","externalReference":"other","amount":1.00,` +
		`"endToEndId":"D","originalEndToEndId":"` + endToEndOf("order9-9") + `"}`}
}
