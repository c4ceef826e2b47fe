package sqlstore_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/sqlstore"
)

// Databases out there say which steps they have run: one that was released and is changed would
// never reach them. If this fails add a step at the end, and a line for it here.
func TestAMigrationIsNeverChanged(t *testing.T) {
	for dialect, pinned := range map[sqlstore.Dialect][]string{
		sqlstore.PostgreSQL: {"94b5d52d40ff7f94", "2c27079581850fdf"},
		sqlstore.SQLite:     {"6f071b211519cae9", "383429fd14676a03"},
	} {
		migrations := sqlstore.Migrations(dialect)
		require.Equal(t, len(pinned), len(migrations), "every migration has a line here")
		for n, migration := range migrations {
			digest := sha256.Sum256([]byte(strings.Join(migration.Statements, ";")))
			assert.Equal(t, pinned[n], hex.EncodeToString(digest[:8]), "%v, version %d", dialect, migration.Version)
		}
	}
}

func TestEachNameOfANamespaceIsItsOwn(t *testing.T) {
	for _, dialect := range []sqlstore.Dialect{sqlstore.PostgreSQL, sqlstore.SQLite} {
		for _, migration := range sqlstore.Migrations(dialect, sqlstore.WithNamespace("shop")) {
			for _, statement := range migration.Statements {
				assert.Equal(t, strings.Count(statement, "connectpsp_"), strings.Count(statement, "connectpsp_shop_"), statement)
			}
		}
	}
}

func TestADialectPrintsTheNameOfTheDatabase(t *testing.T) {
	assert.Equal(t, "PostgreSQL, SQLite, Dialect(7)", strings.Join(
		[]string{sqlstore.PostgreSQL.String(), sqlstore.SQLite.String(), sqlstore.Dialect(7).String()}, ", "))
}
