package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/signing"
)

// process is a sandbox in a process of its own.
type process struct {
	command     *exec.Cmd
	credentials credentialsResult
}

// startSandbox starts a sandbox in a process of its own, and waits until it serves.
func startSandbox(t *testing.T, flags ...string) *process {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	p := &process{command: exec.CommandContext(t.Context(), program, append([]string{"sandbox", "--json"}, flags...)...)}
	p.command.Env = append(os.Environ(), "CONNECTPSP_TEST_PROCESS=1")
	stdout, err := p.command.StdoutPipe()
	require.NoError(t, err)
	stderr := buffer{written: make(chan struct{}, 1)}
	p.command.Stderr = &stderr
	require.NoError(t, p.command.Start())
	t.Cleanup(func() { p.kill() })
	stderr.wait(t, "Ctrl-C")
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err, stderr.String())
	p.credentials = decode[credentialsResult](t, output{stdout: line})
	return p
}

// kill ends the process as kill -9 does.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
}

// post posts to the API of the sandbox.
func (p *process) post(t *testing.T, path, body string) {
	t.Helper()
	response, err := http.Post(p.credentials.BaseURL+"/_sandbox/v1"+path, "application/json", strings.NewReader(body))
	require.NoError(t, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, errors.Join(err, response.Body.Close()))
	require.Equal(t, 2, response.StatusCode/100, string(text))
}

// wire is the log of the bytes of one run, in both directions.
type wire struct{ bytes.Buffer }

// exchange writes a request to the sandbox as it stands, and logs it and all that comes back.
func (w *wire) exchange(t *testing.T, p *process, request string) (response string) {
	t.Helper()
	address := strings.TrimPrefix(p.credentials.BaseURL, "http://")
	connection, err := net.DialTimeout("tcp", address, 10*time.Second)
	require.NoError(t, err)
	defer connection.Close()
	require.NoError(t, connection.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = io.WriteString(connection, request)
	require.NoError(t, err)
	text, err := io.ReadAll(connection) // the request asks for the connection to be closed
	require.NoError(t, err)
	w.WriteString("> " + request + "\n< " + string(text) + "\n")
	return string(text)
}

// call makes a request of HTTP/1.1.
func (w *wire) call(t *testing.T, p *process, method, path, body string, headers ...string) string {
	t.Helper()
	lines := append([]string{method + " " + path + " HTTP/1.1", "Host: localhost", "Connection: close", "Content-Type: application/json",
		fmt.Sprintf("Content-Length: %d", len(body))}, headers...)
	return w.exchange(t, p, strings.Join(lines, "\r\n")+"\r\n\r\n"+body)
}

// webhook receives one webhook, logs its bytes, and responds 200.
func (w *wire) webhook(t *testing.T, receiver *net.TCPListener) {
	t.Helper()
	require.NoError(t, receiver.SetDeadline(time.Now().Add(30*time.Second)))
	connection, err := receiver.Accept()
	require.NoError(t, err)
	defer connection.Close()
	require.NoError(t, connection.SetDeadline(time.Now().Add(30*time.Second)))
	var raw bytes.Buffer
	request, err := http.ReadRequest(bufio.NewReader(io.TeeReader(connection, &raw)))
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, request.Body)
	require.NoError(t, err)
	const response = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	_, err = io.WriteString(connection, response)
	require.NoError(t, err)
	w.WriteString("webhook < " + raw.String() + "\nwebhook > " + response + "\n")
}

// member returns the text of a member of a response.
func member(t *testing.T, response, name string) string {
	t.Helper()
	_, rest, found := strings.Cut(response, `"`+name+`":"`)
	require.True(t, found, response)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// runOfASeed makes the same calls to a sandbox of its own, and returns the bytes of the wire.
func runOfASeed(t *testing.T, port int, receiver *net.TCPListener, flags ...string) string {
	t.Helper()
	p := startSandbox(t, append(flags, "--port", fmt.Sprint(port))...)
	defer p.kill()
	c, w := p.credentials, &wire{}
	webhookURL := "http://" + receiver.Addr().String() + "/hooks"

	token := member(t, w.call(t, p, "POST", "/auth/token", `{"clientId":"`+c.ClientID+`","clientSecret":"`+c.ClientSecret+`"}`), "accessToken")
	auth := []string{"Authorization: Bearer " + token, "ApplicationToken: " + c.ApplicationToken}
	signed := func(key string) []string {
		return append(auth[:2:2], fmt.Sprintf("DigitalSignature: %x", signing.Sum(c.CryptoToken, []byte(token))), "X-Idempotency-Key: "+key)
	}
	charge := member(t, w.call(t, p, "POST", "/cash-in", `{"amount":10.50,"externalReference":"order-1","webhookUrl":"`+webhookURL+
		`","payer":{"name":"Test User","document":"12345678909"}}`, append(auth[:2:2], "X-Idempotency-Key: 7d444840-9dc0-41d1-b245-5ffdce74fad2")...), "transactionId")
	p.post(t, "/cash-ins/"+charge+"/pay", "{}")
	w.webhook(t, receiver)
	w.call(t, p, "GET", "/cash-in/"+charge, "", auth...)
	payment := `{"amount":5.00,"externalReference":"withdrawal-1","webhookUrl":"` + webhookURL + `","payee":{"name":"Maria Silva","document":"12345678909",` +
		`"destination":{"type":"PIX","pixKeyType":"EMAIL","pixKey":"maria@example.com"}}}`
	response := w.call(t, p, "POST", "/cash-out", payment, signed("9b2b4b9e-6c1d-4e0e-8f43-0c4d7f5b6a11")...)
	w.call(t, p, "POST", "/cash-out", payment, signed("9b2b4b9e-6c1d-4e0e-8f43-0c4d7f5b6a11")...) // the same response again
	p.post(t, "/cash-outs/"+member(t, response, "transactionId")+"/fail", `{"code":"PIX_KEY_NOT_FOUND"}`)
	w.webhook(t, receiver)
	p.post(t, "/clock/advance", `{"seconds":259200}`)
	w.call(t, p, "POST", "/cash-in/"+charge+"/refund", `{"reason":"FRAUD"}`, signed("16fd2706-8baf-433b-82eb-8c7fada847da")...) // the token has expired
	w.call(t, p, "GET", "/account/balance", "", auth...)
	p.post(t, "/faults", `{"operation":"authToken","faults":["CutAnswer"]}`)
	w.call(t, p, "POST", "/auth/token", `{"clientId":"`+c.ClientID+`","clientSecret":"`+c.ClientSecret+`"}`)
	w.call(t, p, "POST", "/cash-out", "no JSON", auth...)
	return w.String()
}

func TestTwoRunsOfASeedLeaveIdenticalBytesOnTheWire(t *testing.T) {
	// Both runs have the same ports: they are in the bytes.
	receiver, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer receiver.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := free.Addr().(*net.TCPAddr).Port
	require.NoError(t, free.Close())

	flags := []string{"--seed", "42", "--time", "2026-03-10T12:00:00Z"}
	first := runOfASeed(t, port, receiver, flags...)
	assert.Equal(t, first, runOfASeed(t, port, receiver, flags...))
	assert.NotEqual(t, first, runOfASeed(t, port, receiver, "--seed", "43", "--time", "2026-03-10T12:00:00Z"))
	for _, part := range []string{"200 OK", "CASHIN_PAID", "CASHOUT_FAILED", "X-Connect-Signature: ", "X-Event-Id: ", "Date: Tue, 10 Mar 2026 12:00:00 GMT", "TOKEN_EXPIRED"} {
		assert.Contains(t, first, part, "the calls are not those that the test means")
	}
}

func TestTheStateOfASandboxOutlivesAKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	s := &shell{t: t}
	use := func(p *process) {
		c := p.credentials
		s.vars = map[string]string{"CONNECTPSP_CLIENT_ID": c.ClientID, "CONNECTPSP_CLIENT_SECRET": c.ClientSecret,
			"CONNECTPSP_APPLICATION_TOKEN": c.ApplicationToken, "CONNECTPSP_CRYPTO_TOKEN": c.CryptoToken,
			"CONNECTPSP_BASE_URL": c.BaseURL, "CONNECTPSP_JOURNAL": filepath.Join(t.TempDir(), "journal")}
	}
	p := startSandbox(t, "--port", "0", "--state", path)
	use(p)
	id := decode[transactionResult](t, s.run(cashOut("withdrawal-1", "--yes", "--json")...)).CashOut.TransactionID
	charge := decode[transactionResult](t, s.run(cashIn("order-1", "--json")...)).CashIn.TransactionID
	p.post(t, "/cash-ins/"+charge+"/pay", "{}")
	p.post(t, "/faults", `{"operation":"createCashOut","faults":["LoseAnswer","LoseAnswer","LoseAnswer","LoseAnswer"]}`)
	require.Equal(t, exitUnknown, s.run(cashOut("withdrawal-2", "--yes")...).code, "it is made, and no response says so")
	p.kill()

	p = startSandbox(t, "--port", "0", "--state", path)
	use(p) // and a journal that knows of nothing
	assert.Contains(t, s.run("cash-in", "get", charge).stdout, "PAID")
	assert.Equal(t, exitDone, s.run("cash-out", "get", id).code)
	assert.Equal(t, exitDone, s.run(cashOut("withdrawal-1", "--yes")...).code, "the idempotency key is remembered")
	assert.Equal(t, exitDone, s.run(cashOut("withdrawal-2", "--yes")...).code)
	total, err := pix.ParseAmount("499950.50") // 500000.00 + 10.50 - 2 * 30.00
	require.NoError(t, err)
	assert.Equal(t, total, decode[balanceResult](t, s.run("balance", "--json")).Balance.Consolidated.TransactionalBalance)
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".connectpsp-sandbox-*"))
	require.NoError(t, err)
	assert.LessOrEqual(t, len(left), 1, "a kill leaves one unfinished file at most")
}
