package journal_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/connectpsp/journaltest"
	"github.com/connectpsp/connectpsp-go/journal"
)

func TestAFileKeepsThePromisesOfAJournal(t *testing.T) {
	journaltest.Run(t, func(t *testing.T) connectpsp.Journal {
		file, err := journal.Open(filepath.Join(t.TempDir(), "payments.journal"))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, file.Close()) })
		return file
	})
}
