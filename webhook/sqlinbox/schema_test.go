package sqlinbox_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/webhook/sqlinbox"
)

// Databases out there say how many of the statements they have run. One that is changed, taken out
// or put in between would never reach them. If this fails add a statement at the end, and a line
// for it here.
func TestAMigrationIsNeverChanged(t *testing.T) {
	for dialect, pinned := range map[sqlinbox.Dialect][]string{
		sqlinbox.PostgreSQL: {
			"b188854f96c1c663", "7492501bf0d10b09", "6cd46f93fa017fa2",
			"7cc0e9c9d45ba4e6", "a73b4b9949ea5230", "6da7a7f75f2824b2",
			"bee5bec34f981848", "f4bb3dcace0f2f40", "e2d1a0708bd73a79",
		},
		sqlinbox.SQLite: {
			"335a5c4edd1b8473", "7492501bf0d10b09", "6cd46f93fa017fa2",
			"ed2fd8ce60bdaace", "a73b4b9949ea5230", "6da7a7f75f2824b2",
			"bee5bec34f981848", "f4bb3dcace0f2f40", "e2d1a0708bd73a79",
		},
	} {
		migrations := sqlinbox.Migrations(dialect)[2:] // without the two about connectpsp_schema
		require.Equal(t, len(pinned), len(migrations), "every migration has a line here")
		for n, statement := range migrations {
			digest := sha256.Sum256([]byte(statement))
			assert.Equal(t, pinned[n], hex.EncodeToString(digest[:8]), "%d: %s", n+1, statement)
		}
	}
}
