package journal_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
)

func TestAnIntentIsFoundByItsPaymentOrByItsKey(t *testing.T) {
	for name, c := range map[string]struct {
		first, otherKey, otherPayment connectpsp.Intent
	}{
		"cash-out": {intent(1), withKey(intent(1), 2), withKey(intent(3), 1)},
		"refund": {
			refund("0B0C5C8E-6A55-4F3F-9F0D-6F7B0A0C2C11", 1),
			refund("0b0c5c8e-6a55-4f3f-9f0d-6f7b0a0c2c11", 2),
			refund("another", 1),
		},
	} {
		for _, accepted := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				path := path(t)
				file := open(t, path)
				_, err := file.Begin(t.Context(), c.first)
				require.NoError(t, err)
				require.NoError(t, file.Sent(t.Context(), key(1), noon))
				if accepted {
					require.NoError(t, file.Finish(t.Context(), key(1), connectpsp.OutcomeAccepted, "t1"))
				}
				for range 2 {
					for _, again := range []connectpsp.Intent{c.first, c.otherKey, c.otherPayment} {
						earlier, err := file.Begin(t.Context(), again)
						require.NoError(t, err)
						require.NotNil(t, earlier)
						assert.Equal(t, c.first.Payment(), earlier.Payment())
						found, err := file.Find(t.Context(), again)
						require.NoError(t, err)
						assert.Equal(t, earlier, found)
					}
					file = reopen(t, file, path)
				}
				withoutKey := c.first
				withoutKey.IdempotencyKey = ""
				found, err := file.Find(t.Context(), withoutKey)
				require.NoError(t, err)
				assert.NotNil(t, found)
			})
		}
	}
}

func withKey(i connectpsp.Intent, n int) connectpsp.Intent {
	i.IdempotencyKey = key(n)
	return i
}

// A payment whose first attempt was never sent must not be reported as never sent when the second
// was.
func TestAnotherAttemptReplacesAnUnsentOne(t *testing.T) {
	path := path(t)
	file := open(t, path)
	begin(t, file, 1)
	earlier, err := file.Begin(t.Context(), withKey(intent(1), 2))
	require.NoError(t, err)
	require.Nil(t, earlier)
	assert.Error(t, file.Sent(t.Context(), key(1), noon), "the first attempt is gone")
	require.NoError(t, file.Sent(t.Context(), key(2), noon))
	for range 2 {
		require.Len(t, pending(t, file), 1)
		assert.Equal(t, key(2), pending(t, file)[0].IdempotencyKey)
		ended, err := file.Ended(t.Context())
		require.NoError(t, err)
		assert.Empty(t, ended)
		file = reopen(t, file, path)
	}
}

// TestEndedPaymentsAreListedForAnHour: a program that died before it stored an outcome hears it
// again, also if the file was compacted meanwhile, until it begins the payment anew.
func TestEndedPaymentsAreListedForAnHour(t *testing.T) {
	path := path(t)
	file := open(t, path)
	for n := range 4 {
		send(t, file, n)
	}
	require.NoError(t, file.Finish(t.Context(), key(2), connectpsp.OutcomeAccepted, "t2"))
	require.NoError(t, file.Finish(t.Context(), key(1), connectpsp.OutcomeRejected, ""))
	require.NoError(t, file.Finish(t.Context(), key(0), connectpsp.OutcomeRejected, ""))
	require.NoError(t, file.Finish(t.Context(), key(0), connectpsp.OutcomeRejected, ""), "again")
	ended := func() (told []string) {
		all, err := file.Ended(t.Context())
		require.NoError(t, err)
		for _, one := range all {
			assert.Empty(t, one.Body)
			assert.WithinDuration(t, time.Now(), one.EndedAt, time.Minute)
			told = append(told, string(one.Outcome)+" "+one.ExternalReference+" "+one.TransactionID)
		}
		return told
	}
	want := []string{"ACCEPTED withdrawal-2 t2", "REJECTED withdrawal-1 ", "REJECTED withdrawal-0 "}
	for range 2 {
		assert.Equal(t, want, ended())
		require.NoError(t, journal.Compact(file))
		assert.Equal(t, want, ended())
		for n := range 2 {
			assert.Nil(t, find(t, file, n), "a rejected attempt does not block the next")
		}
		journal.Age(file, 59*time.Minute)
		assert.Equal(t, want, ended())
		file = reopen(t, file, path)
	}
	_, err := file.Begin(t.Context(), withKey(intent(1), 11))
	require.NoError(t, err)
	want = []string{want[0], want[2]}
	for range 2 {
		assert.Equal(t, want, ended(), "a payment that begins anew has not ended")
		file = reopen(t, file, path)
	}
	journal.Age(file, time.Hour)
	assert.Empty(t, ended())
	assert.Len(t, pending(t, file), 2)
}

// TestAFileOfTheFirstVersionIsRead: it had the charge of a refund in another place, no marks, and
// perhaps several open attempts of a payment.
func TestAFileOfTheFirstVersionIsRead(t *testing.T) {
	intentOf := func(operation, key, more string) string {
		return journal.Line(`{"intent":{"operation":"` + operation + `","key":"` + key + `","body":"e30=",` + more +
			`"clientId":"1","baseUrl":"u","begunAt":"2026-03-10T12:00:00Z"}}`)
	}
	sent := func(key string) string {
		return journal.Line(`{"sent":{"key":"` + key + `","at":"2026-03-10T12:00:00Z"}}`)
	}
	path := write(t, []byte(journal.Line(`{"header":{"format":"connectpsp payments","version":1}}`)+
		intentOf("createCashOut", "accepted", `"externalReference":"o-1","outcome":"ACCEPTED",`+
			`"endedAt":"2099-03-10T12:00:00Z",`)+
		intentOf("createCashOut", "a", `"externalReference":"o-2",`)+
		intentOf("createCashOut", "b", `"externalReference":"o-2",`)+
		sent("b")+sent("a")+
		intentOf("refundCashIn", "r", `"transactionId":"c-1",`)+sent("r")+
		intentOf("createCashOut", "c", `"externalReference":"o-3",`)+
		`01234567 {"intent":{"ope`)) // the process died
	file := open(t, path)
	known := func(i connectpsp.Intent) string {
		found, err := file.Find(t.Context(), i)
		require.NoError(t, err)
		if found == nil {
			return ""
		}
		return found.IdempotencyKey
	}
	order := func(reference string) connectpsp.Intent {
		return connectpsp.Intent{Operation: connectpsp.OperationCreateCashOut, ExternalReference: reference}
	}
	for range 2 {
		assert.Len(t, pending(t, file), 4)
		assert.Equal(t, "accepted", known(order("o-1")))
		assert.Equal(t, "a", known(order("o-2")), "the oldest of those that are open")
		assert.Equal(t, "r", known(refund("c-1", 1)))
		assert.Empty(t, known(order("o-3")))
		file = reopen(t, file, path)
	}
	assert.Contains(t, string(contents(t, path)), `"version":2`)
	require.NoError(t, file.Finish(t.Context(), "a", connectpsp.OutcomeRejected, ""))
	assert.Equal(t, "b", known(order("o-2")), "the other attempt is still open")
	require.NoError(t, file.Finish(t.Context(), "b", connectpsp.OutcomeAccepted, "t"))
	assert.Equal(t, "b", known(order("o-2")))
}

// TestAFileOfTheFirstVersionThatCannotBeCompactedMayBeTorn once it has marks of this version, as
// on a full volume.
func TestAFileOfTheFirstVersionThatCannotBeCompactedMayBeTorn(t *testing.T) {
	path := write(t, []byte(journal.Line(`{"header":{"format":"connectpsp payments","version":1}}`)))
	require.NoError(t, os.MkdirAll(filepath.Join(path+".tmp", "in the way"), 0o700))
	file := open(t, path)
	send(t, file, 1)
	durable := len(contents(t, path))
	for n := 2; n < 20; n++ {
		begin(t, file, n)
	}
	journal.Kill(file)
	data := contents(t, path)
	require.Contains(t, string(data), `"version":1`)
	for at := durable; at+512 < len(data); at += 512 {
		torn := bytes.Clone(data)
		clear(torn[at : at+512])
		file := open(t, write(t, torn))
		require.NotEmpty(t, pending(t, file))
		assert.False(t, pending(t, file)[0].SentAt.IsZero(), "zeros at %d", at)
	}
	data[durable/2] ^= 1
	_, err := journal.Open(write(t, data))
	assert.ErrorAs(t, err, new(*journal.CorruptError), "a durable record is damaged")
}

// TestADamagedFileOfTheFirstVersionIsRefused: it has no marks that tell damage from a torn tail.
func TestADamagedFileOfTheFirstVersionIsRefused(t *testing.T) {
	head := journal.Line(`{"header":{"format":"connectpsp payments","version":1}}`)
	line := journal.Line(`{"intent":{"key":"a"}}`)
	for _, data := range []string{head + "x" + line, head + "x" + line + line, head + line[:len(line)-1] + "x"} {
		_, err := journal.Open(write(t, []byte(data)))
		assert.ErrorAs(t, err, new(*journal.CorruptError))
	}
}

// TestAClockThatJumpsLosesNoPayment: an hour is one of the monotonic clock, and begins anew with
// Open, whatever times are in the file.
func TestAClockThatJumpsLosesNoPayment(t *testing.T) {
	for _, at := range []string{"1970-01-02T00:00:00Z", "2200-01-01T00:00:00Z"} {
		path := write(t, []byte(journal.Line(`{"header":{"format":"connectpsp payments","version":1}}`)+
			journal.Line(`{"intent":{"operation":"createCashOut","key":"a","externalReference":"o"}}`)+
			journal.Line(`{"finished":{"key":"a","outcome":"ACCEPTED","at":"`+at+`"}}`)))
		synctest.Test(t, func(t *testing.T) {
			file := open(t, path)
			defer file.Close()
			known := func() *connectpsp.Intent {
				found, err := file.Find(t.Context(),
					connectpsp.Intent{Operation: connectpsp.OperationCreateCashOut, ExternalReference: "o"})
				require.NoError(t, err)
				return found
			}
			time.Sleep(time.Hour - time.Nanosecond)
			assert.NotNil(t, known())
			time.Sleep(time.Nanosecond)
			assert.Nil(t, known())
		})
	}
}
