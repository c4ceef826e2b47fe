package connectpsp

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/connectpsp/connectpsp-go/internal/api"
)

// A POST may be sent again only if that cannot do it twice: it carries a key, or it sets a state.
func TestNoPOSTWithoutAKeyIsSentTwiceUnlessItSetsAState(t *testing.T) {
	setsState := map[string]bool{"rebalanceAccount": true, "authToken": true}
	for _, op := range api.Operations {
		if op.Method == "POST" {
			assert.True(t, op.Keyed || setsState[op.ID], op.ID)
		}
		assert.Equal(t, op.Method == "POST" && !op.Public, op.Money, op.ID)
	}
}
