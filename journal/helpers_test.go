package journal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
	"github.com/connectpsp/connectpsp-go/pix"
)

var noon = time.Date(2026, 3, 10, 12, 0, 0, 123456789, time.UTC)

func key(n int) string { return fmt.Sprintf("5f0f1d2c-0000-4000-8000-%012d", n) }

func intent(n int) connectpsp.Intent {
	return connectpsp.Intent{
		Operation:         "createCashOut",
		IdempotencyKey:    key(n),
		ExternalReference: fmt.Sprintf("withdrawal-%d", n),
		Amount:            pix.Centavos(int64(n)*100 + 5),
		Body:              []byte(`{"amount":50.00,"payee":{"name":"<José> & Söhne","document":"12345678909"}}` + "\n\x00\xff"),
		ClientID:          "1024",
		BaseURL:           "https://api.homologacao.connectpsp.com",
		BegunAt:           noon.Add(time.Duration(n) * time.Millisecond),
	}
}

func path(t testing.TB) string { return filepath.Join(t.TempDir(), "payments.journal") }

func open(t testing.TB, path string) *journal.File {
	t.Helper()
	file, err := journal.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, file.Close()) })
	return file
}

func reopen(t testing.TB, file *journal.File, path string) *journal.File {
	t.Helper()
	require.NoError(t, file.Close())
	return open(t, path)
}

func begin(t testing.TB, file *journal.File, n int) {
	t.Helper()
	earlier, err := file.Begin(t.Context(), intent(n))
	require.NoError(t, err)
	require.Nil(t, earlier)
}

func send(t testing.TB, file *journal.File, n int) {
	t.Helper()
	begin(t, file, n)
	require.NoError(t, file.Sent(t.Context(), key(n), noon.Add(time.Second)))
}

func pending(t testing.TB, file *journal.File) []connectpsp.Intent {
	t.Helper()
	found, err := file.Pending(t.Context())
	require.NoError(t, err)
	return found
}

func contents(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return data
}

// find returns the intent that the journal finds for payment n, nil if there is none.
func find(t testing.TB, file *journal.File, n int) *connectpsp.Intent {
	t.Helper()
	found, err := file.Find(t.Context(), intent(n))
	require.NoError(t, err)
	return found
}

func write(t testing.TB, data []byte) (path string) {
	path = filepath.Join(t.TempDir(), "payments.journal")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

func refund(charge string, n int) connectpsp.Intent {
	return connectpsp.Intent{
		Operation:      connectpsp.OperationRefundCashIn,
		IdempotencyKey: key(n),
		ChargeID:       charge,
		TransactionID:  charge,
		Body:           []byte(`{"reason":"FRAUD"}`),
		ClientID:       "1024",
		BaseURL:        "https://api.connectpsp.com",
		BegunAt:        noon,
	}
}
