package bench

import (
	"encoding/json"
	"testing"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
)

// The benchmarks of amounts read and write R$ 1234.56.
const amount = "1234.56"

// BenchmarkAmountEncode measures an amount on its way into JSON.
func BenchmarkAmountEncode(b *testing.B) {
	b.Run("floor", func(b *testing.B) { encode(b, json.Number(amount)) })
	b.Run("decimal", func(b *testing.B) { encode(b, decimal.RequireFromString(amount)) })
	b.Run("connectpsp", func(b *testing.B) { encode(b, pix.Centavos(1234_56)) })
}

// BenchmarkAmountDecode measures an amount on its way out of JSON.
func BenchmarkAmountDecode(b *testing.B) {
	b.Run("floor", func(b *testing.B) { decode[json.Number](b) })
	b.Run("decimal", func(b *testing.B) { decode[decimal.Decimal](b) })
	b.Run("connectpsp", func(b *testing.B) { decode[pix.Amount](b) })
}

// BenchmarkAmountUnmarshal measures the amount's own part of decoding, because encoding/json
// allocates whatever it reads. A json.Number is a copy of the text.
func BenchmarkAmountUnmarshal(b *testing.B) {
	text := []byte(amount)
	b.Run("floor", func(b *testing.B) {
		var number json.Number
		b.ReportAllocs()
		for b.Loop() {
			number = json.Number(text)
		}
		require.Equal(b, amount, number.String())
	})
	b.Run("decimal", func(b *testing.B) { unmarshal(b, new(decimal.Decimal), text) })
	b.Run("connectpsp", func(b *testing.B) { unmarshal(b, new(pix.Amount), text) })
}

func encode[T any](b *testing.B, value T) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(value); err != nil {
			b.Fatal(err)
		}
	}
}

func decode[T any](b *testing.B) {
	text := []byte(amount)
	var value T
	b.ReportAllocs()
	for b.Loop() {
		if err := json.Unmarshal(text, &value); err != nil {
			b.Fatal(err)
		}
	}
}

func unmarshal(b *testing.B, value json.Unmarshaler, text []byte) {
	b.ReportAllocs()
	for b.Loop() {
		if err := value.UnmarshalJSON(text); err != nil {
			b.Fatal(err)
		}
	}
}
