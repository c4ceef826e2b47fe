package pix_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
)

var unreadableTimes = []string{
	`null`, `""`, `" "`, `0`, `1753900000`, `-1.5e9`, `true`, `{}`, `{"at":"2026-07-30T12:00:00Z"}`, `[]`,
	`"2026-07-30"`, `"2026-07-30T12:00:00"`, `"2026-07-30 12:00:00Z"`, `"30/07/2026 12:00"`,
	`"2026-02-30T12:00:00Z"`, `"2026-07-30T25:00:00Z"`, `"2026-07-30T1:00:00Z"`, `"2026-07-30T12:00:00,5Z"`,
	`"2026-07-30T12:00:00+25:00"`, `"2026-07-30T12:00:00+2500"`, `"2026-07-30T12:00:00-03"`, `"2026-07-30T12:00:00Z "`, `"null"`,
}

func TestTimeKeepsTheOffsetOfTheText(t *testing.T) {
	for token, want := range map[string]time.Time{
		`"2026-07-30T12:00:00Z"`:          time.Date(2026, 7, 30, 12, 0, 0, 0, time.UTC),
		`"2026-07-30T12:00:00+00:00"`:     time.Date(2026, 7, 30, 12, 0, 0, 0, time.UTC),
		`"2026-07-30T09:00:00-03:00"`:     time.Date(2026, 7, 30, 9, 0, 0, 0, time.FixedZone("", -3*3600)),
		`"2026-07-30T12:00:00.123456Z"`:   time.Date(2026, 7, 30, 12, 0, 0, 123456000, time.UTC),
		`"2026-07-30T12:00:00.5+05:30"`:   time.Date(2026, 7, 30, 12, 0, 0, 5e8, time.FixedZone("", 19800)),
		`"2026-07-30T09:00:00-0300"`:      time.Date(2026, 7, 30, 9, 0, 0, 0, time.FixedZone("", -3*3600)),
		`"2026-07-30T09:00:00.000-0300"`:  time.Date(2026, 7, 30, 9, 0, 0, 0, time.FixedZone("", -3*3600)),
		`"2026-07-30T17:30:00.25+0530"`:   time.Date(2026, 7, 30, 17, 30, 0, 25e7, time.FixedZone("", 19800)),
		`"2026-07-30T12:00:00-0000"`:      time.Date(2026, 7, 30, 12, 0, 0, 0, time.UTC),
		`"9999-12-31T23:59:59.999-23:59"`: time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.FixedZone("", -86340)),
	} {
		var got pix.Time
		require.NoError(t, json.Unmarshal([]byte(token), &got), token)
		assert.Equal(t, want, got.Time, token)
	}
}

func TestTimeDoesNotDependOnTheZoneOfTheMachine(t *testing.T) {
	local := time.Local
	t.Cleanup(func() { time.Local = local })
	time.Local = time.FixedZone("here", -3*3600)

	var got pix.Time
	require.NoError(t, json.Unmarshal([]byte(`"2026-07-30T09:00:00-03:00"`), &got))
	assert.NotSame(t, time.Local, got.Location())
	assert.Empty(t, got.Location().String())
}

func TestTimeThatCannotBeReadIsZeroAndNeverAnError(t *testing.T) {
	for _, token := range unreadableTimes {
		answer := struct {
			ID string   `json:"id"`
			At pix.Time `json:"at"`
		}{At: pix.Time{Time: time.Now()}}
		require.NoError(t, json.Unmarshal([]byte(`{"at":`+token+`,"id":"paid"}`), &answer), token)
		assert.True(t, answer.At.IsZero(), token)
		assert.Equal(t, "paid", answer.ID, token)
	}
	assert.NoError(t, new(pix.Time).UnmarshalJSON(nil))
}

func TestTimeIsWrittenInRFC3339(t *testing.T) {
	for want, at := range map[string]time.Time{
		`null`:                                  {},
		`"2026-07-30T12:00:00Z"`:                time.Date(2026, 7, 30, 12, 0, 0, 0, time.UTC),
		`"2026-07-30T09:00:00.000000001-03:00"`: time.Date(2026, 7, 30, 9, 0, 0, 1, time.FixedZone("BRT", -3*3600)),
	} {
		text, err := json.Marshal(pix.Time{Time: at})
		require.NoError(t, err)
		assert.Equal(t, want, string(text))
	}
}

func TestTimeIsLeftOutByOmitzero(t *testing.T) {
	text, err := json.Marshal(struct {
		At pix.Time `json:"at,omitzero"`
	}{})
	require.NoError(t, err)
	assert.Equal(t, `{}`, string(text))
}

func TestTimeOutsideRFC3339IsAnErrorWhenWritten(t *testing.T) {
	for _, year := range []int{-1, 10000} {
		_, err := json.Marshal(pix.Time{Time: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)})
		assert.Error(t, err)
	}
}

func FuzzTimeJSON(f *testing.F) {
	for _, token := range unreadableTimes {
		f.Add([]byte(token))
	}
	f.Add([]byte(`"2026-07-30T09:00:00.25-03:00"`))
	f.Add([]byte(`"2026-07-30T09:00:00.25-0300"`))
	f.Add([]byte(`"0001-01-01T03:00:00+03:00"`))
	f.Fuzz(func(t *testing.T, token []byte) {
		var read pix.Time
		require.NoError(t, read.UnmarshalJSON(token))

		var decoded pix.Time
		if json.Unmarshal(token, &decoded) != nil {
			require.False(t, json.Valid(token))
		}
		text, err := json.Marshal(read)
		require.NoError(t, err)
		var again pix.Time
		require.NoError(t, json.Unmarshal(text, &again))
		if read.IsZero() {
			require.True(t, again.IsZero())
		} else {
			require.Equal(t, read, again)
		}
	})
}
