package bench

import (
	"os"
	"testing"

	"github.com/connectpsp/connectpsp-go/bench/gateway"
)

// TestMain is the gateway's main function, too.
func TestMain(m *testing.M) {
	gateway.Serve()
	os.Exit(m.Run())
}
