package connectpsp_test

import (
	"log/slog"
	"os"
	"testing"
)

// TestMain silences the unknown outcomes that tests bring about by the thousand. A test of the log
// has a logger of its own.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}
