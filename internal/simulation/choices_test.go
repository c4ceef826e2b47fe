package simulation

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

// choices supplies every decision of a schedule, in one sequence. Zero is always the harmless
// choice: no fault, no delay. The same sequence makes the same schedule, so a sequence that breaks
// a promise can be shrunk.
type choices struct {
	given  []byte     // used first
	random *rand.Rand // draws the choices after given; nil makes them all zero
	taken  []byte     // all choices so far
}

// choose returns a number below n. It is not zero in percent of a hundred draws, and then each
// other number is as likely.
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

// encodeChoices returns choices as a text for the command line, without the zeros at the end.
func encodeChoices(taken []byte) string { return "x" + hex.EncodeToString(trimZeros(taken)) }

func decodeChoices(text string) ([]byte, error) {
	if text == "" || text[0] != 'x' {
		return nil, fmt.Errorf("a schedule begins with x: %q", text)
	}
	return hex.DecodeString(text[1:])
}

func trimZeros(taken []byte) []byte {
	for len(taken) > 0 && taken[len(taken)-1] == 0 {
		taken = taken[:len(taken)-1]
	}
	return taken
}

// shrink looks for a sequence that still fails with fewer choices, or with more zeros. It calls
// fails at most maxTries times.
func shrink(taken []byte, maxTries int, fails func([]byte) bool) []byte {
	best := trimZeros(taken)
	try := func(candidate []byte) bool {
		if maxTries--; maxTries < 0 || !fails(candidate) {
			return false
		}
		best = trimZeros(candidate)
		return true
	}
	for before := -1; before != weight(best) && maxTries > 0; {
		before = weight(best)
		for size := max(len(best)/2, 1); size > 0; size /= 2 {
			for from := 0; from+size <= len(best) && maxTries > 0; {
				cut := append(append([]byte{}, best[:from]...), best[from+size:]...)
				if try(cut) {
					continue
				}
				zeroed := append([]byte{}, best...)
				clear(zeroed[from : from+size])
				if weight(zeroed) < weight(best) {
					try(zeroed)
				}
				from += size
			}
		}
	}
	return best
}

// weight falls whenever a sequence gets shorter or a choice becomes zero.
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

// enumerator counts through all sequences of digits below base. The code under test asks for each
// digit with next, so a sequence is only as long as the run that used it.
type enumerator struct {
	base   int
	digits []int
	used   int
}

func (e *enumerator) next() int {
	if e.used == len(e.digits) {
		e.digits = append(e.digits, 0)
	}
	e.used++
	return e.digits[e.used-1]
}

// advance moves on to the next sequence and reports whether there is one.
func (e *enumerator) advance() bool {
	e.digits, e.used = e.digits[:e.used], 0
	for last := len(e.digits) - 1; last >= 0; last-- {
		if e.digits[last]++; e.digits[last] < e.base {
			return true
		}
		e.digits = e.digits[:last]
	}
	return false
}

func TestAScheduleShrinksToTheChoicesThatBreakThePromise(t *testing.T) {
	breaks := func(taken []byte) bool { return slices.Contains(taken, 3) && slices.Contains(taken, 7) }
	assert.Equal(t, []byte{3, 7}, shrink([]byte{1, 0, 3, 9, 9, 2, 7, 0, 4, 0}, 3000, breaks))
}

func TestChoicesOnTheCommandLineAreThoseOfTheSchedule(t *testing.T) {
	given, err := decodeChoices(encodeChoices([]byte{0, 40, 255, 0, 1, 0}))
	assert.NoError(t, err)
	assert.Equal(t, []byte{0, 40, 255, 0, 1}, given, "zeros need not be given")
	for _, text := range []string{"", "00", "x0", "xyz"} {
		_, err := decodeChoices(text)
		assert.Error(t, err, text)
	}
}

func TestEverySequenceOfFaultsIsTriedOnce(t *testing.T) {
	var tried [][]int
	e := enumerator{base: 3}
	for more := true; more; more = e.advance() {
		sequence := []int{e.next()}
		if sequence[0] == 1 { // a fault after which the client makes another attempt
			sequence = append(sequence, e.next())
		}
		tried = append(tried, sequence)
	}
	assert.Equal(t, [][]int{{0}, {1, 0}, {1, 1}, {1, 2}, {2}}, tried)
}
