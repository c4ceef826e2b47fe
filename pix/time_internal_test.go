package pix

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzTimeForm holds the form that is read by hand against the same in words that are easier to
// trust.
func FuzzTimeForm(f *testing.F) {
	form := regexp.MustCompile(`^"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):?[0-5]\d)"$`)
	for _, token := range []string{
		``, `"`, `""`, `"2026-07-30T09:00:00`, `"2026-07-30T09:00:00"`, `"2026-07-30T09:00:00Z"`, `"2026-07-30T09:00:00.Z"`, `"2026-07-30T09:00:00.25Z"`,
		`"2026-07-30T09:00:00.25-03:00"`, `"2026-07-30T09:00:00+23:59"`, `"2026-07-30T09:00:00+24:00"`, `"2026-07-30T09:00:00-00:60"`,
		`"2026-07-30T09:00:00*00:00"`, `"2026-07-30T09:00:00,5Z"`, `"dddd-dd-ddTdd:dd:ddZ"`, `"2026-07-30T09:00:00.5`, `"2026-07-30T09:00:00Z" `,
		`"2026-07-30T09:00:00.000-0300"`, `"2026-07-30T09:00:00+2400"`, `"2026-07-30T09:00:00-0060"`, `"2026-07-30T09:00:00-03"`, `"2026-07-30T09:00:00-030"`,
	} {
		f.Add([]byte(token))
	}
	f.Fuzz(func(t *testing.T, token []byte) {
		_, ok := layoutOf(token)
		require.Equal(t, form.Match(token), ok)
	})
}
