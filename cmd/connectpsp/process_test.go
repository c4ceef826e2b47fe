package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// TestMain makes the test binary the program itself, for tests that need a process.
func TestMain(m *testing.M) {
	if os.Getenv("CONNECTPSP_TEST_PROCESS") != "" {
		os.Exit(run(context.Background(), processEnvironment()))
	}
	os.Exit(m.Run())
}

// holdResponse returns a middleware that executes one payment, and keeps the response until the
// client has gone.
func holdResponse(executed chan<- struct{}) func(http.Handler) http.Handler {
	var held atomic.Bool
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/cash-out" || held.Swap(true) {
				next.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(httptest.NewRecorder(), r)
			close(executed)
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		})
	}
}

func TestACommandThatIsKilledWhileItPaysIsRunAgainAndPaysOnce(t *testing.T) {
	executed := make(chan struct{})
	s := newShell(t, sandbox.WithMiddleware(holdResponse(executed)))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	program, err := os.Executable()
	require.NoError(t, err)
	command := exec.CommandContext(ctx, program, cashOut("withdrawal-1", "--yes")...)
	command.Env = append(os.Environ(), "CONNECTPSP_TEST_PROCESS=1")
	for name, value := range s.vars {
		command.Env = append(command.Env, name+"="+value)
	}
	var printed bytes.Buffer
	command.Stdout, command.Stderr = &printed, &printed
	require.NoError(t, command.Start())
	select {
	case <-executed:
	case <-ctx.Done():
		require.FailNow(t, "nothing was paid", printed.String())
	}
	if runtime.GOOS == "linux" {
		shown, err := os.ReadFile("/proc/" + strconv.Itoa(command.Process.Pid) + "/cmdline")
		require.NoError(t, err)
		for _, name := range []string{"CONNECTPSP_CLIENT_SECRET", "CONNECTPSP_APPLICATION_TOKEN", "CONNECTPSP_CRYPTO_TOKEN"} {
			assert.NotContains(t, string(shown), s.vars[name], "ps shows it")
		}
	}
	require.NoError(t, command.Process.Kill())
	require.Error(t, command.Wait())

	o := s.run(cashOut("withdrawal-1", "--yes")...)
	assert.Equal(t, exitDone, o.code, o.stderr)
	assert.Contains(t, o.stderr, "left open by an earlier command: createCashOut withdrawal-1 R$ 30,00: accepted")
	assert.Equal(t, pix.Centavos(30_00), s.paid())
}

func TestACommandThatIsInterruptedWhileItPaysSaysThatTheOutcomeIsUnknown(t *testing.T) {
	executed := make(chan struct{})
	s := newShell(t, sandbox.WithMiddleware(holdResponse(executed)))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-executed
		cancel()
	}()
	var stdout, stderr bytes.Buffer
	e := s.environment(cashOut("withdrawal-1", "--yes")...)
	e.stdout, e.stderr = &stdout, &stderr
	assert.Equal(t, exitUnknown, run(ctx, e))
	assert.Contains(t, stderr.String(), "To settle it, run: connectpsp cash-out resolve --reference withdrawal-1")
	assert.Equal(t, exitDone, s.run("cash-out", "resolve", "--reference", "withdrawal-1").code)
	assert.Equal(t, pix.Centavos(30_00), s.paid())
}

func TestAnInterruptAtTheQuestionSendsNothing(t *testing.T) {
	s := newShell(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	e := s.environment(cashOut("withdrawal-1")...)
	e.interactive = true
	silent, stop := blockedReader()
	defer stop()
	e.stdin = silent
	asked := &buffer{written: make(chan struct{}, 1)}
	e.stdout, e.stderr = asked, asked
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, e) }()
	asked.wait(t, "[y/N]")
	cancel()
	select {
	case code := <-ended:
		assert.Equal(t, exitFailed, code)
	case <-time.After(30 * time.Second):
		require.FailNow(t, "the command waits for an answer")
	}
	assert.Zero(t, s.requests.Load())
}

// blockedReader returns a reader that returns nothing until stop is called.
func blockedReader() (readerFunc, func()) {
	stopped := make(chan struct{})
	return func([]byte) (int, error) {
		<-stopped
		return 0, errors.New("stopped")
	}, func() { close(stopped) }
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(data []byte) (int, error) { return f(data) }

// full is an output that cannot be written.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestAnOutputThatCannotBeWrittenDoesNotHideThatThePaymentWasMade(t *testing.T) {
	s := newShell(t)
	var stderr strings.Builder
	e := s.environment(cashOut("withdrawal-1", "--yes")...)
	e.stdout, e.stderr = full{}, &stderr
	assert.Equal(t, exitFailed, run(t.Context(), e))
	assert.Contains(t, stderr.String(), "the command was carried out, and its output cannot be written: no space left on device")
	assert.Equal(t, pix.Centavos(30_00), s.paid())
}
