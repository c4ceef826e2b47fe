package api

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// A POST may be sent again only if that cannot do it twice: it carries a key, or it sets a state.
func TestNoPOSTWithoutAKeyIsSentTwiceUnlessItSetsAState(t *testing.T) {
	setsState := map[string]bool{"rebalanceAccount": true, "authToken": true}
	for _, op := range Operations {
		if op.Method == "POST" {
			assert.True(t, op.Keyed || setsState[op.ID], op.ID)
		}
		assert.Equal(t, op.Method == "POST" && !op.Public, op.Money, op.ID)
	}
}

func TestAnOperationIsFoundByItsID(t *testing.T) {
	found, ok := Find("createCashOut")
	assert.True(t, ok)
	assert.Equal(t, CreateCashOut, found)
	_, ok = Find("createCashout")
	assert.False(t, ok)
}
