package auth_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/connectpsp/connectpsp-go/auth"
)

// everyPrint returns a value as programs print it.
func everyPrint(value any) string {
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", value)
	}
	_ = json.NewEncoder(&out).Encode(value)
	slog.New(slog.NewTextHandler(&out, nil)).Info("", "value", value)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("", "value", value)
	return out.String()
}

// raw sends the bytes of answer and closes the connection.
func raw(answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(connection, answer)
		_ = connection.Close()
	}
}

// net/http quotes a response that it cannot parse, and that of POST /auth/token may hold an access
// token.
func TestAnUnreadableResponseIsNotQuoted(t *testing.T) {
	const secret = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0.c2ln"
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, answer := range map[string]string{
		"no status line":  `{"accessToken":"` + secret + "\"}\r\n\r\n",
		"body as header":  ok + `{"accessToken":"` + secret + "\"}\r\n\r\n",
		"trailer":         ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n{\"accessToken\":\"" + secret + "\"}\r\n\r\n",
		"length":          ok + "Content-Length: " + secret + "\r\n\r\n",
		"half of JSON":    ok + "\r\n{\"accessToken\":\"" + secret,
		"broken location": "HTTP/1.1 302 Found\r\nLocation: http://%zz" + secret + "\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			failure := tokenError(t, newHostileIssuer(t, raw(answer)).over(t, &http.Client{Transport: &http.Transport{}}))
			assert.NotContains(t, everyPrint(failure), secret)
			for cause := failure.Err; cause != nil; {
				assert.NotContains(t, everyPrint(cause), secret)
				wrapped, _ := cause.(interface{ Unwrap() error })
				if wrapped == nil {
					break
				}
				cause = wrapped.Unwrap()
			}
		})
	}
}

func TestAnErrorPrintsNoTextOfTheGateway(t *testing.T) {
	failure := auth.Error{StatusCode: 503, Type: "Maria", Title: "Maria", Code: "Maria", Detail: "Maria", RetryAfter: time.Minute}
	for _, value := range []any{failure, &failure, []auth.Error{failure}, struct{ Err error }{&failure}} {
		assert.NotContains(t, everyPrint(value), "Maria")
		assert.Contains(t, everyPrint(value), "503")
	}
	encoded, err := json.Marshal(&failure)
	assert.NoError(t, err)
	assert.JSONEq(t, `{"error":"auth: no access token: the gateway answered 503","statusCode":503,"retryAfterSeconds":60}`, string(encoded))
}

// The race detector fails this test if printing reads a field that a renewal writes.
func TestASourceCanBePrintedWhileItRenewsItsToken(t *testing.T) {
	source := newIssuer(t).source(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range 50 {
			held, err := source.Token(t.Context())
			assert.NoError(t, err)
			source.Invalidate(held)
		}
	}()
	for printing := true; printing; {
		select {
		case <-ended:
			printing = false
		default:
			text := everyPrint(source)
			assert.NotContains(t, text, clientSecret)
			assert.NotContains(t, text, "token-")
			assert.Contains(t, text, "auth.ClientCredentials("+clientID+")")
		}
	}
}
