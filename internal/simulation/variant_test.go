package simulation

import (
	"strings"
	"time"
)

// variant is how the gateway of a schedule behaves where the behaviour of the real one is not
// published. To add a way, add a field, draw it in drawVariant, name it in traits, set it in
// everyTrait, and act upon it in gateway.
type variant struct {
	memory          memoryKind
	funds           fundsKind
	checks          int  // an index of checkOrders
	storesErrors    bool // it repeats errors under their key, as it does successes
	unlocked        bool // a request whose key is in use is processed all the same
	reservesLate    bool // it takes the reference with the payment, not when the processing begins
	burnsReferences bool // a refused payment uses up its reference
	// ignoresReferences makes idempotency keys the only protection against a double payment. This
	// gateway stores keys for at least 30 minutes, and owners retry within 20 minutes only.
	ignoresReferences bool
}

// memoryKind is how long a gateway stores idempotency keys.
type memoryKind int

const (
	keepsForever memoryKind = iota
	forgetsSometimes
	forgetsLater // after keyLifetime
	forgetsAtOnce
)

const keyLifetime = 30 * time.Minute

type fundsKind int

const (
	enoughFunds fundsKind = iota
	fundsForOne
	fundsComeAndGo
	noFunds
)

type checkKind int

const (
	checkKey checkKind = iota
	checkReference
	checkFunds
)

var checkOrders = [][]checkKind{
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
		checks:       c.choose(len(checkOrders), 80),
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

func (v variant) String() string { return strings.Join(v.traits(), ", ") }

// traits describes the variant, for stories and counters.
func (v variant) traits() []string {
	checks := "checks"
	for _, check := range checkOrders[v.checks] {
		checks += []string{" key", " reference", " funds"}[check]
	}
	traits := []string{
		[]string{"keeps keys forever", "forgets keys now and then", "forgets keys after 30 minutes", "forgets keys at once"}[v.memory],
		[]string{"enough funds", "funds for one payment", "funds that come and go", "no funds"}[v.funds],
		checks,
	}
	for _, trait := range []struct {
		has  bool
		name string
	}{
		{v.storesErrors, "stores errors under keys"},
		{v.unlocked, "does not lock keys"},
		{v.reservesLate, "reserves references late"},
		{v.burnsReferences, "a refusal uses up the reference"},
		{v.ignoresReferences, "ignores references"},
	} {
		if trait.has {
			traits = append(traits, trait.name)
		}
	}
	return traits
}
