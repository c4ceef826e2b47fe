package sandbox

import (
	"testing"

	"github.com/connectpsp/connectpsp-go/internal/contract"
)

// The other answers are of package connectpsp's types, which a test there compares.
func TestTheOperationsOfTheSandboxAreTheDescriptions(t *testing.T) {
	var traffic []contract.Traffic
	for _, served := range operations {
		one := contract.Traffic{
			Operation: served.method + " " + served.path, Public: served.public, Signed: served.signed, Keyed: served.keyed,
			Problem: problem{},
		}
		if served.public {
			one.Answer = issuedToken{}
		}
		traffic = append(traffic, one)
	}
	contract.Compare(t, traffic, nil)
}
