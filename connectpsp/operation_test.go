package connectpsp

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// A POST may be sent again only if that cannot do it twice: it carries a key, or it sets a state.
func TestNoPOSTWithoutAKeyIsSentTwiceUnlessItSetsAState(t *testing.T) {
	setsState := map[string]bool{"rebalanceAccount": true, "authToken": true}
	for _, op := range operations {
		if op.method == "POST" {
			assert.True(t, op.keyed || setsState[op.id], op.id)
		}
		assert.Equal(t, op.method == "POST" && !op.public, op.money, op.id)
	}
}
