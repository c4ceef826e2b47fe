package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// section returns the lines of a text after a title and before the next empty line.
func section(t *testing.T, text, title string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, title+"\n")
	require.True(t, found, text)
	rest, _, _ = strings.Cut(rest, "\n\n")
	return rest
}

func TestTheSandboxTakesThePaymentsOfTheFileThatItPrints(t *testing.T) {
	s := &shell{t: t, vars: map[string]string{"CONNECTPSP_CRYPTO_TOKEN": "unused"}}
	v := s.serve(0, "sandbox", "--port", "0")
	directory := t.TempDir()
	path := filepath.Join(directory, "sandbox.env")
	for _, title := range []string{"# for a .env file", "# for a shell"} {
		require.NoError(t, os.WriteFile(path, []byte(section(t, v.stdout.String(), title)), 0o600))
		o := s.run(append(cashOut("withdrawal-1", "--yes"), "--env-file", path, "--journal", filepath.Join(directory, "journal"))...)
		assert.Equal(t, exitDone, o.code, o.stderr)
	}
	assert.Contains(t, v.stdout.String(), "BaseURL:          \""+v.url+"\",\n}")
	o := s.run("balance", "--env-file", path)
	assert.Contains(t, o.stdout, "R$ 499.970,00", "it was paid once")
}

func TestTheSandboxHasTheSameCredentialsEachTime(t *testing.T) {
	var printed []credentialsResult
	for _, seed := range [][]string{nil, nil, {"--seed", "2"}} {
		s := &shell{t: t, vars: map[string]string{"CONNECTPSP_CRYPTO_TOKEN": "unused"}}
		v := s.serve(0, append([]string{"sandbox", "--port", "0", "--json"}, seed...)...)
		credentials := decode[credentialsResult](t, output{stdout: v.stdout.String()})
		credentials.BaseURL = ""
		printed = append(printed, credentials)
	}
	assert.Equal(t, printed[0], printed[1])
	assert.NotEqual(t, printed[0].ClientSecret, printed[2].ClientSecret)
}

func TestTheSandboxServesItsPageAndItsAPI(t *testing.T) {
	v := (&shell{t: t, vars: map[string]string{"CONNECTPSP_CRYPTO_TOKEN": "unused"}}).serve(0, "sandbox", "--port", "0", "--allow-host", "gateway")
	for path, status := range map[string]int{"/": 200, "/healthz": 200, "/_sandbox/v1/state": 200, "/account/balance": 401} {
		for host, allowed := range map[string]bool{"": true, "gateway": true, "evil.test": false} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.url+path, nil)
			require.NoError(t, err)
			request.Host = host
			response, err := http.DefaultClient.Do(request)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			assert.Equal(t, allowed, status == response.StatusCode, "%s of %q: %d", path, host, response.StatusCode)
		}
	}
}

// balance reads the transactional balance of a sandbox.
func balance(t *testing.T, v *service, s *shell) string {
	t.Helper()
	credentials := decode[credentialsResult](t, output{stdout: v.stdout.String()})
	s.vars = map[string]string{"CONNECTPSP_CLIENT_ID": credentials.ClientID, "CONNECTPSP_CLIENT_SECRET": credentials.ClientSecret,
		"CONNECTPSP_APPLICATION_TOKEN": credentials.ApplicationToken, "CONNECTPSP_CRYPTO_TOKEN": credentials.CryptoToken,
		"CONNECTPSP_BASE_URL": credentials.BaseURL, "CONNECTPSP_JOURNAL": filepath.Join(t.TempDir(), "journal")}
	return decode[balanceResult](t, s.run("balance", "--json")).Balance.Consolidated.TransactionalBalance.String()
}

func TestTheSandboxGoesOnFromItsState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	s := &shell{t: t, vars: map[string]string{"CONNECTPSP_CRYPTO_TOKEN": "unused"}}
	t.Run("first", func(t *testing.T) {
		v := (&shell{t: t, vars: s.vars}).serve(0, "sandbox", "--port", "0", "--json", "--state", path)
		assert.Equal(t, "500000.00", balance(t, v, s))
		require.Equal(t, exitDone, s.run(cashOut("withdrawal-1", "--yes")...).code)
	})
	t.Run("second", func(t *testing.T) {
		v := (&shell{t: t, vars: map[string]string{"CONNECTPSP_CRYPTO_TOKEN": "unused"}}).serve(0, "sandbox", "--port", "0", "--json", "--state", path)
		assert.Equal(t, "499970.00", balance(t, v, s))
		o := s.run(cashOut("withdrawal-1", "--yes")...)
		assert.Equal(t, exitDone, o.code, "the key is remembered, too: %s", o.stderr)
		assert.Equal(t, "499970.00", balance(t, v, s))
	})
	require.NoError(t, os.WriteFile(path, []byte("{}"), 0o600))
	o := s.run("sandbox", "--port", "0", "--state", path)
	assert.Equal(t, exitUsage, o.code)
	assert.Contains(t, o.stderr, "is not the state of a sandbox")
}

func TestTheSandboxRefusesAWrongPort(t *testing.T) {
	s := &shell{t: t}
	assert.Equal(t, exitUsage, s.run("sandbox", "--port", "65536").code)
	assert.Equal(t, exitUsage, s.run("sandbox", "--production").code)
	v := (&shell{t: t, vars: map[string]string{"CONNECTPSP_CRYPTO_TOKEN": "unused"}}).serve(0, "sandbox", "--port", "0", "--json")
	port := v.url[strings.LastIndex(v.url, ":")+1:]
	o := s.run("sandbox", "--port", port)
	assert.Equal(t, exitFailed, o.code)
	assert.Contains(t, o.stderr, "choose another")
	assert.Equal(t, v.url, decode[credentialsResult](t, output{stdout: v.stdout.String()}).BaseURL)
}

// hangingReceiver accepts connections and never responds.
func hangingReceiver(t *testing.T) string {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, socket.Close()) })
	return "http://" + socket.Addr().String()
}

func TestTheSandboxStartsAndStopsAtOnceThoughAReceiverHangs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	dayAgo := time.Now().Add(-24 * time.Hour)
	box, err := sandbox.Start(sandbox.WithSeed(1), sandbox.WithTime(dayAgo))
	require.NoError(t, err)
	client, err := connectpsp.New(box.Config())
	require.NoError(t, err)
	target := hangingReceiver(t)
	for _, reference := range []string{"order-1", "order-2", "order-3"} {
		charge, err := client.CreateCashIn(t.Context(), connectpsp.CashInRequest{Amount: pix.Centavos(100), ExternalReference: reference,
			WebhookURL: target, Payer: connectpsp.Payer{Name: fullName, Document: cpf}})
		require.NoError(t, err)
		require.NoError(t, box.PayCashIn(charge.TransactionID))
	}
	text, err := box.Snapshot()
	require.NoError(t, err)
	require.NoError(t, box.Close())
	require.NoError(t, os.WriteFile(path, text, 0o600))

	begun := time.Now()
	t.Run("run", func(t *testing.T) {
		v := (&shell{t: t, vars: map[string]string{"CONNECTPSP_CRYPTO_TOKEN": "unused"}}).serve(0, "sandbox", "--port", "0", "--state", path)
		response, err := http.Get(v.url + "/_sandbox/v1/state")
		require.NoError(t, err)
		defer response.Body.Close()
		var state struct{ Now time.Time }
		require.NoError(t, json.NewDecoder(response.Body).Decode(&state))
		assert.WithinDuration(t, time.Now(), state.Now, time.Minute, "its clock is at the present")
	})
	assert.Less(t, time.Since(begun), 4*time.Second, "a receiver has five seconds")
}

func TestChargesThatAreOverdueExpireWhenTheSandboxGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	box, err := sandbox.Start(sandbox.WithSeed(1), sandbox.WithTime(time.Now().Add(-48*time.Hour)))
	require.NoError(t, err)
	client, err := connectpsp.New(box.Config())
	require.NoError(t, err)
	_, err = client.CreateCashIn(t.Context(), connectpsp.CashInRequest{Amount: pix.Centavos(100), ExternalReference: "order-1",
		Payer: connectpsp.Payer{Name: fullName, Document: cpf}})
	require.NoError(t, err)
	text, err := box.Snapshot()
	require.NoError(t, err)
	require.NoError(t, box.Close())
	require.NoError(t, os.WriteFile(path, text, 0o600))
	v := (&shell{t: t, vars: map[string]string{"CONNECTPSP_CRYPTO_TOKEN": "unused"}}).serve(0, "sandbox", "--port", "0", "--state", path)
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		response, err := http.Get(v.url + "/_sandbox/v1/cash-ins")
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		assert.Contains(t, string(body), "EXPIRED")
	}, 10*time.Second, 20*time.Millisecond)
}

func TestALinkToTheStateStaysALink(t *testing.T) {
	directory := t.TempDir()
	link := filepath.Join(directory, "link.json")
	require.NoError(t, os.Symlink("data.json", link))
	for range 2 { // the file is made, and then replaced
		t.Run("run", func(t *testing.T) {
			(&shell{t: t, vars: map[string]string{"CONNECTPSP_CRYPTO_TOKEN": "unused"}}).serve(0, "sandbox", "--port", "0", "--state", link)
		})
		info, err := os.Lstat(link)
		require.NoError(t, err)
		assert.NotZero(t, info.Mode()&os.ModeSymlink)
		assert.FileExists(t, filepath.Join(directory, "data.json"))
	}
}

func TestTheSandboxPrintsAnAddressThatItsPageAnswersTo(t *testing.T) {
	for _, address := range []string{"0.0.0.0", "::", "127.0.0.1", "::1"} {
		t.Run(address, func(t *testing.T) {
			if socket, err := net.Listen("tcp", net.JoinHostPort(address, "0")); err != nil {
				t.Skip("this machine has no such address")
			} else {
				require.NoError(t, socket.Close())
			}
			v := (&shell{t: t, vars: map[string]string{"CONNECTPSP_CRYPTO_TOKEN": "unused"}}).serve(0, "sandbox", "--port", "0", "--address", address,
				"--allow-host", "sandbox", "--json")
			response, err := http.Get(v.url + "/")
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			assert.Equal(t, http.StatusOK, response.StatusCode)
			s := &shell{t: t}
			assert.Equal(t, "500000.00", balance(t, v, s), "the printed address is that of a sandbox")
			v.stderr.wait(t, "it is at http://sandbox:"+v.url[strings.LastIndex(v.url, ":")+1:]+" too: give the commands there --private-network")
		})
	}
}
