package connectpsp_test

import (
	"log/slog"
	"os"
	"testing"
)

// TestMain discards the log of the unknown outcomes that tests cause by the thousand. Tests of the
// log use a logger of their own.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}
