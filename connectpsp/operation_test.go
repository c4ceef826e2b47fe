package connectpsp

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/internal/contract"
)

func TestTheTableOfOperationsIsTheDescriptions(t *testing.T) {
	described := map[string]contract.Operation{}
	for _, o := range contract.New(t).Operations() {
		described[o.ID] = o
	}
	require.Len(t, operations, len(described))
	for _, op := range operations {
		want, ok := described[op.id]
		if !assert.True(t, ok, "%s is not in the description", op.id) {
			continue
		}
		assert.Equal(t, want, contract.Operation{
			ID: op.id, Method: op.method, Path: op.path, Public: op.public, Signed: op.signed, Keyed: op.keyed,
		})
	}
}

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
