package journal_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/journal"
)

func TestAJournalPrintsItsPathAndNoPayment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "payments")
	file, err := journal.Open(path)
	require.NoError(t, err)
	defer file.Close()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		assert.Equal(t, "journal.File("+path+")", fmt.Sprintf(verb, file))
	}
	assert.Equal(t, "journal.File("+path+")", file.LogValue().String())
}
