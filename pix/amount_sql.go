package pix

import (
	"database/sql/driver"
	"strconv"
)

// Value returns the amount in centavos as an int64, for database/sql: R$ 10.50
// is 1050. It never returns an error.
//
// The column has an integer type of 64 bits: BIGINT in PostgreSQL, INTEGER in
// SQLite. There comparisons, indexes and sums are exact. Do not write an Amount
// into a column that holds reais, such as NUMERIC(12,2): the database would take
// R$ 10.50 for R$ 1050.00. Write [Amount.String] to such a column, and read its
// text with [ParseAmount]. A column that may be NULL is an sql.Null[pix.Amount].
func (a Amount) Value() (driver.Value, error) { return a.centavos, nil }

// Scan reads what [Amount.Value] wrote: whole centavos, as an integer or as the
// text of one. PostgreSQL, for example, gives the sum of a BIGINT column as
// NUMERIC, which drivers pass on as text.
//
// A decimal point, even in 1050.00, and any floating point number are refused,
// because they come from a column that may hold reais. So is NULL. Every error
// wraps [ErrInvalidAmount], and the amount is then left as it was.
func (a *Amount) Scan(source any) error {
	var text string
	switch source := source.(type) {
	case int64:
		a.centavos = source
		return nil
	case string:
		text = source
	case []byte:
		text = string(source)
	case nil:
		return amountError("the column is NULL; scan it into an sql.Null[pix.Amount]")
	}
	// The text is empty for every other type, which no integer is.
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return amountError("the column does not hold a whole number of centavos; read reais as text, with ParseAmount")
	}
	a.centavos = n
	return nil
}
