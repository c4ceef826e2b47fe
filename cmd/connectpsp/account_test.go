package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/connectpsp/connectpsp-go/pix"
)

func TestTheBalancesAreReadAndSet(t *testing.T) {
	s := newShell(t)
	s.golden("balance",
		[]string{"balance"},
		[]string{"balance", "--json"},
		[]string{"rebalance", "--target", "400000.00", "--yes"},
		[]string{"rebalance", "--target", "400000.00", "--yes", "--json"},
		[]string{"rebalance", "--target", "9999999.00", "--yes"},
	)
	assert.Equal(t, pix.Centavos(100_000_00), s.paid())
}

func TestTheLineThatIsPrintedSettlesAnUnknownRebalance(t *testing.T) {
	s := newShell(t)
	s.box.FailNext("rebalanceAccount", lost...)
	o := s.run("rebalance", "--target", "400000.00", "--yes")
	assert.Equal(t, exitUnknown, o.code)
	_, line, _ := strings.Cut(o.stderr, "To settle it, run: connectpsp ")
	assert.Equal(t, exitDone, s.run(words(t, line)...).code)
	assert.Equal(t, pix.Centavos(100_000_00), s.paid())
}
