package pix_test

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
)

func TestAmountIsCentavosInADatabase(t *testing.T) {
	for _, centavos := range []int64{0, 1, -5, 1050, math.MaxInt64, math.MinInt64} {
		value, err := driver.DefaultParameterConverter.ConvertValue(pix.Centavos(centavos))
		require.NoError(t, err)
		assert.Equal(t, centavos, value)

		text := strconv.FormatInt(centavos, 10)
		for _, source := range []any{value, text, []byte(text)} {
			amount := pix.Centavos(7)
			require.NoError(t, amount.Scan(source), "%T", source)
			assert.Equal(t, pix.Centavos(centavos), amount, "%T", source)
		}
	}
}

func TestAmountRefusesAColumnThatMayHoldReais(t *testing.T) {
	for _, source := range []any{
		nil, 10.5, 1050.0, 0.0, math.NaN(), float32(1050), true, time.Unix(0, 0), pix.Centavos(1), 1050, uint64(1050),
		"", " ", "10.50", "1050.00", "1050.", "10,50", "R$ 10,50", "1e3", "NaN", "Infinity", " 1050", "1050 ", "1_050", "0x41A", "１０",
		"9223372036854775808", "-9223372036854775809", []byte("10.50"), []byte{}, []byte(nil),
	} {
		amount := pix.Centavos(7)
		require.ErrorIs(t, amount.Scan(source), pix.ErrInvalidAmount, "%T %v", source, source)
		assert.Equal(t, pix.Centavos(7), amount, "%T %v", source, source)
	}
}

func TestAnAmountThatMayBeNullIsASQLNull(t *testing.T) {
	amount := sql.Null[pix.Amount]{V: pix.Centavos(7), Valid: true}
	value, err := amount.Value()
	require.NoError(t, err)
	assert.Equal(t, int64(7), value)
	require.NoError(t, amount.Scan(nil))
	assert.False(t, amount.Valid)
	value, err = amount.Value()
	require.NoError(t, err)
	assert.Nil(t, value)
	require.NoError(t, amount.Scan(int64(1050)))
	assert.Equal(t, sql.Null[pix.Amount]{V: pix.Centavos(1050), Valid: true}, amount)
}

func ExampleAmount_Value() {
	value, err := pix.Centavos(1050).Value()
	fmt.Println(value, err)
	// Output: 1050 <nil>
}

func ExampleAmount_Scan() {
	var amount pix.Amount // as in row.Scan(&amount)
	err := amount.Scan(int64(1050))
	fmt.Println(amount, err)
	err = amount.Scan("1050.00") // from a column that holds reais
	fmt.Println(amount, err)
	// Output:
	// 10.50 <nil>
	// 10.50 pix: invalid amount: the column does not hold a whole number of centavos; read reais as text, with ParseAmount
}

func FuzzAmountScan(f *testing.F) {
	for _, text := range []string{"0", "-0", "1050", "-5", "+5", "007", "10.50", "1050.00", "1e3", "9223372036854775807", "9223372036854775808", " 1", "1_0"} {
		f.Add(text)
	}
	integer := regexp.MustCompile(`^[+-]?[0-9]+$`)
	f.Fuzz(func(t *testing.T, text string) {
		amount := pix.Centavos(7)
		err := amount.Scan(text)
		fromBytes := pix.Centavos(7)
		require.Equal(t, err, fromBytes.Scan([]byte(text)))
		require.Equal(t, amount, fromBytes)
		if err != nil {
			require.ErrorIs(t, err, pix.ErrInvalidAmount)
			require.Equal(t, pix.Centavos(7), amount)
			return
		}
		require.Regexp(t, integer, text)
		value, err := amount.Value()
		require.NoError(t, err)
		var again pix.Amount
		require.NoError(t, again.Scan(strconv.FormatInt(value.(int64), 10)))
		require.Equal(t, amount, again)
	})
}
