package integration

import (
	"database/sql"
	"math"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sqlstore"
)

func TestAmountsAreKeptComparedAndSummedInADatabase(t *testing.T) {
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			db := server.open(t)
			integer := map[sqlstore.Dialect]string{sqlstore.PostgreSQL: "BIGINT", sqlstore.SQLite: "INTEGER"}[server.dialect]
			_, err := db.ExecContext(t.Context(), "CREATE TABLE payment (id "+integer+", amount "+integer+", fee "+integer+")")
			require.NoError(t, err)

			kept := []int64{0, 1, -5, 1050, math.MaxInt64, math.MinInt64}
			for id, centavos := range kept {
				_, err := db.ExecContext(t.Context(), "INSERT INTO payment VALUES ($1, $2, $3)", id, pix.Centavos(centavos), sql.Null[pix.Amount]{})
				require.NoError(t, err)
			}
			for id, centavos := range kept {
				var amount pix.Amount
				fee := sql.Null[pix.Amount]{Valid: true}
				row := db.QueryRowContext(t.Context(), "SELECT amount, fee FROM payment WHERE id = $1 AND amount = $2", id, pix.Centavos(centavos))
				require.NoError(t, row.Scan(&amount, &fee))
				assert.Equal(t, pix.Centavos(centavos), amount)
				assert.False(t, fee.Valid)
			}

			var sum pix.Amount // NUMERIC in PostgreSQL
			require.NoError(t, db.QueryRowContext(t.Context(), "SELECT sum(amount) FROM payment WHERE amount > $1 AND amount < $2",
				pix.Centavos(-100), pix.Centavos(100_00)).Scan(&sum))
			assert.Equal(t, pix.Centavos(1046), sum)
			var text pix.Amount
			require.NoError(t, db.QueryRowContext(t.Context(), "SELECT CAST(amount AS TEXT) FROM payment WHERE id = 3").Scan(&text))
			assert.Equal(t, pix.Centavos(1050), text)

			var refused pix.Amount
			for _, expression := range []string{"fee", "CAST(amount AS DOUBLE PRECISION)"} {
				err := db.QueryRowContext(t.Context(), "SELECT "+expression+" FROM payment WHERE id = 3").Scan(&refused)
				assert.ErrorIs(t, err, pix.ErrInvalidAmount, expression)
			}
			assert.Zero(t, refused)
		})
	}
}

// A column of reais takes the text of an amount. Written as centavos by mistake, the amount is not
// read back as another one.
func TestAColumnOfReaisIsNotReadAsCentavos(t *testing.T) {
	db := servers[0].open(t)
	_, err := db.ExecContext(t.Context(), "CREATE TABLE payment (amount NUMERIC(20, 2))")
	require.NoError(t, err)

	_, err = db.ExecContext(t.Context(), "INSERT INTO payment VALUES ($1)", pix.Centavos(1050).String())
	require.NoError(t, err)
	var text string
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT amount FROM payment").Scan(&text))
	amount, err := pix.ParseAmount(text)
	require.NoError(t, err)
	assert.Equal(t, pix.Centavos(1050), amount)

	for _, value := range []any{"10.00", pix.Centavos(1050)} {
		_, err = db.ExecContext(t.Context(), "UPDATE payment SET amount = $1", value)
		require.NoError(t, err)
		var amount pix.Amount
		assert.ErrorIs(t, db.QueryRowContext(t.Context(), "SELECT amount FROM payment").Scan(&amount), pix.ErrInvalidAmount)
	}
	_, err = db.ExecContext(t.Context(), "CREATE TABLE centavos (amount BIGINT); INSERT INTO centavos VALUES (1)")
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "UPDATE centavos SET amount = $1", pix.Centavos(1050).String())
	assert.Error(t, err, "reais in a column of centavos")
}

// pgx itself prefers other interfaces than database/sql, such as fmt.Stringer and encoding's.
func TestAmountsAreCentavosForPgxWithoutDatabaseSQL(t *testing.T) {
	db := servers[0].open(t)
	connection, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer connection.Close()
	require.NoError(t, connection.Raw(func(driver any) error {
		conn := driver.(*stdlib.Conn).Conn()
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
			for _, cast := range []string{"$1::bigint", "$1::numeric"} {
				var amount pix.Amount
				if err := conn.QueryRow(t.Context(), "SELECT "+cast, mode, pix.Centavos(1050)).Scan(&amount); err != nil {
					return err
				}
				assert.Equal(t, pix.Centavos(1050), amount, "%s %s", mode, cast)
			}
		}
		return nil
	}))
}
