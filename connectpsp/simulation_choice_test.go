package connectpsp_test

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
)

// choices is where every decision of a schedule comes from, in one sequence. Zero is always the tame one: no fault, no delay.
// The same sequence makes the same schedule, so a part of one can be changed to see what it was needed for.
type choices struct {
	given  []byte     // taken first
	random *rand.Rand // draws the rest; nil draws zeros
	taken  []byte     // all so far
}

// choose returns a number below n. It is drawn so that percent of a hundred are not zero, and those are all as likely.
func (c *choices) choose(n, percent int) int {
	chosen := 0
	switch at := len(c.taken); {
	case at < len(c.given):
		chosen = int(c.given[at]) % n
	case c.random != nil && c.random.IntN(100) < percent:
		chosen = 1 + c.random.IntN(n-1)
	}
	c.taken = append(c.taken, byte(chosen))
	return chosen
}

// tape writes choices as a text for the command line. Zeros at the end go without saying.
func tape(taken []byte) string { return "x" + hex.EncodeToString(withoutTail(taken)) }

func untape(text string) ([]byte, error) {
	if len(text) == 0 || text[0] != 'x' {
		return nil, fmt.Errorf("a schedule begins with x: %q", text)
	}
	return hex.DecodeString(text[1:])
}

func withoutTail(taken []byte) []byte {
	for len(taken) > 0 && taken[len(taken)-1] == 0 {
		taken = taken[:len(taken)-1]
	}
	return taken
}

// shrink looks for a shorter and tamer sequence that still fails, in at most tries runs of it.
func shrink(taken []byte, tries int, fails func([]byte) bool) []byte {
	best := withoutTail(taken)
	try := func(candidate []byte) bool {
		if tries--; tries < 0 || !fails(candidate) {
			return false
		}
		best = withoutTail(candidate)
		return true
	}
	for before := -1; before != weight(best) && tries > 0; {
		before = weight(best)
		for size := max(len(best)/2, 1); size > 0; size /= 2 {
			for from := 0; from+size <= len(best) && tries > 0; {
				dropped := append(append([]byte{}, best[:from]...), best[from+size:]...)
				if try(dropped) {
					continue
				}
				tamed := append([]byte{}, best...)
				clear(tamed[from : from+size])
				if weight(tamed) < weight(best) {
					try(tamed)
				}
				from += size
			}
		}
	}
	return best
}

// weight falls whenever a sequence gets shorter or tamer.
func weight(taken []byte) int {
	sum := 0
	for _, choice := range taken {
		sum++
		if choice != 0 {
			sum++
		}
	}
	return sum
}

// odometer goes through all sequences of digits below base, and through those only that somebody asks for: where nobody asks
// for a third digit, no third digits are tried.
type odometer struct {
	base   int
	digits []int
	used   int
}

func (o *odometer) next() int {
	if o.used == len(o.digits) {
		o.digits = append(o.digits, 0)
	}
	o.used++
	return o.digits[o.used-1]
}

// advance goes to the next sequence and reports whether there is one.
func (o *odometer) advance() bool {
	o.digits, o.used = o.digits[:o.used], 0
	for last := len(o.digits) - 1; last >= 0; last-- {
		if o.digits[last]++; o.digits[last] < o.base {
			return true
		}
		o.digits = o.digits[:last]
	}
	return false
}
