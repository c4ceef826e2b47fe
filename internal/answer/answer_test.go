package answer_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/answer"
	"github.com/connectpsp/connectpsp-go/pix"
)

// get returns what a real server answers through a real client.
func get(t *testing.T, handler http.HandlerFunc) *http.Response {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	response, err := server.Client().Get(server.URL)
	require.NoError(t, err)
	return response
}

func zeros(n int) []byte { return bytes.Repeat([]byte{'0'}, n) }

func TestReadStopsAtTheLimit(t *testing.T) {
	for name, test := range map[string]struct {
		length, read int
		err          error
	}{
		"empty":         {0, 0, nil},
		"short":         {5, 5, nil},
		"at the limit":  {answer.Limit, answer.Limit, nil},
		"one byte over": {answer.Limit + 1, answer.Limit, answer.ErrTooLarge},
		"twice":         {2 * answer.Limit, answer.Limit, answer.ErrTooLarge},
	} {
		for _, announced := range []bool{true, false} {
			t.Run(name+", length announced "+strconv.FormatBool(announced), func(t *testing.T) {
				body := &watched{Reader: bytes.NewReader(zeros(test.length))}
				response := &http.Response{ContentLength: -1, Body: body}
				if announced {
					response.ContentLength = int64(test.length)
				}
				read, err := answer.Read(response)
				assert.ErrorIs(t, err, test.err)
				assert.Len(t, read, test.read)
				assert.True(t, body.closed, "the body was left open")
				assert.LessOrEqual(t, body.taken, answer.Limit+1, "more was taken than may be")
			})
		}
	}
}

// watched counts what is taken of it and remembers whether it was closed.
type watched struct {
	io.Reader
	taken  int
	closed bool
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.taken += n
	return n, err
}

func (w *watched) Close() error {
	w.closed = true
	return nil
}

func TestReadDoesNotTrustTheAnnouncedLength(t *testing.T) {
	for _, length := range []int64{math.MaxInt64, answer.Limit + 1, 1, 0, -1} {
		response := &http.Response{ContentLength: length, Body: io.NopCloser(strings.NewReader("hello"))}
		body, err := answer.Read(response)
		require.NoError(t, err)
		assert.Equal(t, "hello", string(body))
		assert.Less(t, cap(body), 8<<10, "a length of %d", length)
	}
}

func TestReadLimitsTheDecompressedBody(t *testing.T) {
	var bomb bytes.Buffer
	packer := gzip.NewWriter(&bomb)
	_, err := packer.Write(zeros(3 * answer.Limit))
	require.NoError(t, err)
	require.NoError(t, packer.Close())
	require.Less(t, bomb.Len(), answer.Limit/8)

	body, err := answer.Read(get(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	}))
	assert.ErrorIs(t, err, answer.ErrTooLarge)
	assert.Len(t, body, answer.Limit)
}

func TestReadReturnsWhatCameBeforeTheConnectionWasCut(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"length announced": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"transactionId":`)
		},
		"chunks": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"transactionId":`)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := answer.Read(get(t, handler))
			assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
			assert.Equal(t, `{"transactionId":`, string(body))
		})
	}
}

func TestReadLeavesOutAByteOrderMark(t *testing.T) {
	for sent, want := range map[string]string{
		"\ufeff{}":       "{}",
		"\ufeff":         "",
		"\ufeff\ufeff{}": "\ufeff{}",
		"{\ufeff}":       "{\ufeff}",
		"\xef\xbb":       "\xef\xbb",
	} {
		body, err := answer.Read(&http.Response{ContentLength: -1, Body: io.NopCloser(strings.NewReader(sent))})
		require.NoError(t, err)
		assert.Equal(t, want, string(body))
	}
}

func TestProblemKeepsWhatItCanRead(t *testing.T) {
	for body, want := range map[string]answer.ProblemDetails{
		`{"type":"https://e/x","title":"T","status":422,"code":"INSUFFICIENT_FUNDS","detail":"D"}`: {
			Type: "https://e/x", Title: "T", Status: 422, Code: "INSUFFICIENT_FUNDS", Detail: "D",
		},
		`{"code":"NEW_CODE","unknown":[1,{}]}`:                  {Code: "NEW_CODE"},
		`{"status":"500","code":"X","detail":"D"}`:              {Code: "X", Detail: "D"},
		`{"code":17,"title":{"a":1},"detail":["x"],"type":"t"}`: {Type: "t"},
		`{"title":null,"code":"X"}`:                             {Code: "X"},
		`{"status":1e400,"code":"X"}`:                           {Code: "X"},
		`{}`:                                                    {},
		`null`:                                                  {},
		`[{"code":"X"}]`:                                        {},
		`"X"`:                                                   {},
		`17`:                                                    {},
		``:                                                      {},
		`{"code":"X"`:                                           {},
		`{"code":"X"}{"code":"Y"}`:                              {},
		"\xef\xbb\xbf{\"code\":\"X\"}":                          {},
		`<html><body>502 Bad Gateway</body></html>`:                {},
		strings.Repeat(`{"code":`, 20000) + strings.Repeat("}", 9): {},
	} {
		assert.Equal(t, want, answer.Problem([]byte(body)), "%.60s", body)
	}
}

func TestAMalformedMemberSpoilsNoOther(t *testing.T) {
	const good = `"transactionId":"tx1","externalReference":"w-1"`
	for name, test := range map[string]struct {
		body string
		want connectpsp.CashOut
	}{
		"nothing odd":           {`{` + good + `,"status":"COMPLETED","amount":10.5}`, connectpsp.CashOut{Status: "COMPLETED", Amount: pix.Centavos(1050)}},
		"unknown member":        {`{"new":{"a":[1]},` + good + `}`, connectpsp.CashOut{}},
		"unknown status":        {`{"status":"ON_HOLD",` + good + `}`, connectpsp.CashOut{Status: "ON_HOLD"}},
		"null":                  {`{"endToEndId":null,"payee":null,"failure":null,` + good + `}`, connectpsp.CashOut{}},
		"number for text":       {`{"status":7,` + good + `}`, connectpsp.CashOut{}},
		"object for text":       {`{"status":{"code":7},` + good + `}`, connectpsp.CashOut{}},
		"text for object":       {`{"payee":"Maria",` + good + `}`, connectpsp.CashOut{}},
		"array for object":      {`{"failure":[],` + good + `}`, connectpsp.CashOut{Failure: nil}},
		"date that is none":     {`{"requestedAt":"yesterday",` + good + `}`, connectpsp.CashOut{}},
		"date that is a number": {`{"requestedAt":1773142500,` + good + `}`, connectpsp.CashOut{}},
		"odd before and after":  {`{"status":7,` + good + `,"payee":8,"amount":"10.50"}`, connectpsp.CashOut{Amount: pix.Centavos(1050)}},
		"odd inside an object":  {`{"payee":{"name":7,"document":"12345678909"},` + good + `}`, connectpsp.CashOut{Payee: connectpsp.Payee{Document: "12345678909"}}},
		"surrounded by space":   {" \r\n\t{" + good + "} \n", connectpsp.CashOut{}},
	} {
		t.Run(name, func(t *testing.T) {
			test.want.TransactionID, test.want.ExternalReference = "tx1", "w-1"
			var got connectpsp.CashOut
			require.NoError(t, answer.Decode([]byte(test.body), &got))
			if test.want.Failure == nil && got.Failure != nil {
				assert.Zero(t, *got.Failure)
				got.Failure = nil
			}
			assert.Equal(t, test.want, got)
		})
	}
}

func TestUnreadableAmountIsReportedAndTheRestFilledIn(t *testing.T) {
	for _, amount := range []string{`10.505`, `1e-3`, `"R$ 10,50"`, `""`, `{}`, `[]`, `true`, `92233720368547758.08`} {
		t.Run(amount, func(t *testing.T) {
			for _, body := range []string{
				`{"amount":` + amount + `,"transactionId":"tx1","status":"PROCESSING","requestedAt":5,"payee":"odd"}`,
				`{"transactionId":"tx1","payee":"odd","requestedAt":5,"status":"PROCESSING","amount":` + amount + `}`,
			} {
				var got connectpsp.CashOut
				assert.ErrorIs(t, answer.Decode([]byte(body), &got), pix.ErrInvalidAmount)
				assert.Equal(t, connectpsp.CashOut{TransactionID: "tx1", Status: "PROCESSING"}, got)
			}
		})
	}
}

func TestUnreadableAmountInsideAnObjectIsReported(t *testing.T) {
	var got connectpsp.Balance
	body := `{"consolidated":{"totalBalance":1.505},"currency":"BRL","referenceDate":7,"updatedAt":"2026-03-10T14:35:00Z"}`
	assert.ErrorIs(t, answer.Decode([]byte(body), &got), pix.ErrInvalidAmount)
	assert.Equal(t, "BRL", got.Currency)
	assert.True(t, got.UpdatedAt.Equal(time.Date(2026, 3, 10, 14, 35, 0, 0, time.UTC)))
}

func TestDecodeStartsAfreshAfterAMalformedMember(t *testing.T) {
	got := connectpsp.CashOut{Description: "of another answer"}
	require.NoError(t, answer.Decode([]byte(`{"status":7,"transactionId":"tx1"}`), &got))
	assert.Equal(t, connectpsp.CashOut{TransactionID: "tx1"}, got)
}

func TestDecodeReadsTheSameResponseTheSameWay(t *testing.T) {
	body := []byte(`{"status":"A","STATUS":"B","Status":"C","requestedAt":7,"payee":"odd","amount":1.001,"Amount":1.002,"transactionId":"tx1"}`)
	var first connectpsp.CashOut
	firstErr := answer.Decode(body, &first)
	require.ErrorIs(t, firstErr, pix.ErrInvalidAmount)
	for range 100 {
		var again connectpsp.CashOut
		require.EqualError(t, answer.Decode(body, &again), firstErr.Error())
		require.Equal(t, first, again)
	}
}

func TestJSONThatIsNoObjectIsRefused(t *testing.T) {
	for _, body := range []string{
		``, ` `, `null`, `true`, `17`, `"text"`, `[]`, `[{"transactionId":"tx1"}]`,
		`{`, `{"transactionId":"tx1"`, `{"transactionId":"tx1"}}`, `{"transactionId":"tx1"}{}`, `{"transactionId":"tx1",}`,
		"\xef\xbb\xbf{}", "\x00", `<html></html>`, `{'transactionId':'tx1'}`, `{"status":7} trailing`,
		strings.Repeat(`[`, 100000), strings.Repeat(`{"a":`, 20000),
	} {
		var got connectpsp.CashOut
		err := answer.Decode([]byte(body), &got)
		assert.Error(t, err, "%.60s", body)
		assert.NotErrorIs(t, err, pix.ErrInvalidAmount, "%.60s", body)
		assert.Zero(t, got, "%.60s", body)
	}
}

func TestRetryAfterReadsBothForms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := func(wait time.Duration) string { return time.Now().Add(wait).UTC().Format(http.TimeFormat) }
		const longest = time.Duration(math.MaxInt64/int64(time.Second)) * time.Second
		for value, want := range map[string]time.Duration{
			"7":                           7 * time.Second,
			"0":                           0,
			"0007":                        7 * time.Second,
			"86400":                       24 * time.Hour,
			"-7":                          0,
			"9223372036":                  longest,
			"9223372037":                  longest,
			"9223372036854775807":         longest,
			"9223372036854775808":         longest,
			strings.Repeat("9", 400):      longest,
			"-" + strings.Repeat("9", 40): 0,
			in(90 * time.Second):          90 * time.Second,
			in(-time.Hour):                0,
			in(0):                         0,
			"":                            0,
			"soon":                        0,
			"1.5":                         0,
			"7s":                          0,
			"7, 8":                        0,
			"0x10":                        0,
			"1e3":                         0,
			"Tue, 10 Mar 2026":            0,
			"2026-03-10T14:35:00Z":        0,
			"\x00\xff":                    0,
		} {
			assert.Equal(t, want, answer.RetryAfter(http.Header{"Retry-After": {value}}), "%.60q", value)
		}
		assert.Zero(t, answer.RetryAfter(http.Header{}))
		assert.Zero(t, answer.RetryAfter(nil))

		farOff := answer.RetryAfter(http.Header{"Retry-After": {"Fri, 31 Dec 9999 23:59:59 GMT"}})
		assert.Greater(t, farOff, 100*365*24*time.Hour, "a date beyond what a duration holds")
	})
}

func TestARetryAfterDateIsComparedWithTheServersDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, ahead := range []time.Duration{0, 10 * time.Minute, -24 * time.Hour, 200 * 365 * 24 * time.Hour} {
			there := time.Now().Add(ahead).UTC()
			for asked, want := range map[time.Duration]time.Duration{5 * time.Second: 5 * time.Second, 0: 0, -time.Hour: 0} {
				header := http.Header{"Date": {there.Format(http.TimeFormat)}, "Retry-After": {there.Add(asked).Format(http.TimeFormat)}}
				assert.Equal(t, want, answer.RetryAfter(header), "a clock that is %v ahead", ahead)
			}
		}
		for _, date := range []string{"", "today", "0", "2026-03-10T14:35:00Z"} {
			header := http.Header{"Date": {date}, "Retry-After": {time.Now().Add(5 * time.Second).UTC().Format(http.TimeFormat)}}
			assert.Equal(t, 5*time.Second, answer.RetryAfter(header), "an answer of %q", date)
		}
	})
}

func FuzzProblem(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		problem := answer.Problem(body)
		if !json.Valid(body) {
			assert.Zero(t, problem)
		}
	})
}

func FuzzDecode(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		decode[connectpsp.CashOut](t, body)
		decode[connectpsp.Balance](t, body)
	})
}

// decode holds Decode against its promises and against encoding/json, where that finds nothing odd.
func decode[T any](t *testing.T, body []byte) {
	var got, again, plain T
	err := answer.Decode(body, &got)

	var members map[string]json.RawMessage
	object := json.Unmarshal(body, &members) == nil && members != nil
	switch {
	case !object:
		assert.Error(t, err)
		assert.NotErrorIs(t, err, pix.ErrInvalidAmount)
	case err != nil:
		assert.ErrorIs(t, err, pix.ErrInvalidAmount)
	}
	if json.Unmarshal(body, &plain) == nil && object {
		assert.NoError(t, err)
		assert.Equal(t, plain, got)
	}
	errAgain := answer.Decode(body, &again)
	assert.Equal(t, got, again)
	assert.Equal(t, errors.Is(err, pix.ErrInvalidAmount), errors.Is(errAgain, pix.ErrInvalidAmount))
}
