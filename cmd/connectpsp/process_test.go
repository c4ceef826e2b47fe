package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
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
		os.Exit(runProcess())
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
	command := s.program(cashOut("withdrawal-1", "--yes")...)
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

// program returns this program as a process that ends within a minute.
func (s *shell) program(args ...string) *exec.Cmd {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	s.t.Cleanup(cancel)
	program, err := os.Executable()
	require.NoError(s.t, err)
	command := exec.CommandContext(ctx, program, args...)
	command.Env = append(os.Environ(), "CONNECTPSP_TEST_PROCESS=1")
	for name, value := range s.vars {
		command.Env = append(command.Env, name+"="+value)
	}
	return command
}

func TestEachSignalThatEndsACommandWhileItPaysLeavesTheOutcomeUnknown(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows sends no such signals")
	}
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP} {
		t.Run(signal.String(), func(t *testing.T) {
			executed := make(chan struct{})
			s := newShell(t, sandbox.WithMiddleware(holdResponse(executed)))
			command := s.program(cashOut("withdrawal-1", "--yes", "--json")...)
			var stdout, stderr bytes.Buffer
			command.Stdout, command.Stderr = &stdout, &stderr
			require.NoError(t, command.Start())
			<-executed
			require.NoError(t, command.Process.Signal(signal))
			require.Error(t, command.Wait())
			assert.Equal(t, exitUnknown, command.ProcessState.ExitCode(), stderr.String())
			assert.Contains(t, decode[failure](t, output{stdout: stdout.String()}).Resolve, "cash-out resolve --reference withdrawal-1")
			assert.NotContains(t, stderr.String(), "goroutine")
		})
	}
}

func TestAnInterruptWhileAnEarlierPaymentIsSettledLeavesItUnknown(t *testing.T) {
	id := ""
	for name, test := range map[string]struct {
		operation string
		args      func() []string
	}{
		"cash-out": {"createCashOut", func() []string { return cashOut("withdrawal-1", "--yes") }},
		"cash-in":  {"createCashIn", func() []string { return cashIn("order-1") }},
		"resolve":  {"createCashOut", func() []string { return []string{"cash-out", "resolve", "--reference", "withdrawal-1"} }},
		"refund": {"refundCashIn", func() []string {
			return []string{"cash-in", "refund", id, "--reason", "FRAUD", "--yes"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var again atomic.Bool
			s := newShell(t, sandbox.WithMiddleware(func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if again.Load() && r.Method == http.MethodPost && r.URL.Path != "/auth/token" {
						cancel()
						<-r.Context().Done()
						panic(http.ErrAbortHandler)
					}
					next.ServeHTTP(w, r)
				})
			}))
			if name == "refund" {
				id = s.paidCharge("order-1")
			}
			s.box.FailNext(test.operation, lost...)
			first := test.args()
			if name == "resolve" {
				first = cashOut("withdrawal-1", "--yes")
			}
			require.Equal(t, exitUnknown, s.run(first...).code)
			again.Store(true)
			var stdout, stderr bytes.Buffer
			e := s.environment(test.args()...)
			e.stdout, e.stderr = &stdout, &stderr
			assert.Equal(t, exitUnknown, run(ctx, e), stderr.String())
			assert.Contains(t, stderr.String(), "To settle it, run: connectpsp ")

			again.Store(false)
			_, line, _ := strings.Cut(stderr.String(), "To settle it, run: connectpsp ")
			line, _, _ = strings.Cut(line, "\n")
			o := s.run(words(t, line)...)
			assert.Equal(t, exitDone, o.code, o.stderr)
		})
	}
}

// broken is an output with a fault of this program.
type broken struct{}

func (broken) Write([]byte) (int, error) { panic("a fault with " + fullName) }

func TestAPanicAfterAPaymentIsAnUnknownOutcome(t *testing.T) {
	s := newShell(t)
	for name, test := range map[string]struct {
		code int
		says string
		args []string
	}{
		"after a payment":   {exitUnknown, "To settle it, run: connectpsp cash-out resolve --reference withdrawal-1", cashOut("withdrawal-1", "--yes")},
		"as JSON":           {exitUnknown, "To settle it, run: connectpsp cash-out resolve --reference withdrawal-2", cashOut("withdrawal-2", "--yes", "--json")},
		"after a rebalance": {exitUnknown, "To settle it, run: connectpsp rebalance --target 100.00 --yes", []string{"rebalance", "--target", "100.00", "--yes"}},
		"after a read":      {exitFailed, "before it moved money", []string{"balance"}},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr strings.Builder
			e := s.environment(test.args...)
			e.stdout, e.stderr = broken{}, &stderr
			assert.Equal(t, test.code, run(t.Context(), e))
			assert.Contains(t, stderr.String(), test.says)
			assert.NotContains(t, stderr.String(), fullName)
		})
	}
	assert.Equal(t, exitDone, s.run("cash-out", "resolve", "--reference", "withdrawal-1").code)
}

func TestAClosedPipeDoesNotHideTheOutcome(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such signal")
	}
	for name, test := range map[string]struct {
		code  int
		fault func(*shell)
		says  string
	}{
		"accepted": {exitDone, func(*shell) {}, "the command was carried out, and its output cannot be written"},
		"unknown":  {exitUnknown, func(s *shell) { s.box.FailNext("createCashOut", lost...) }, "To settle it, run: connectpsp cash-out resolve"},
		"not sent": {exitNotSent, func(s *shell) { s.vars["CONNECTPSP_CLIENT_SECRET"] = "not-the-secret" }, "this call sent nothing"},
		"undone": {exitRejected, func(s *shell) {
			id := decode[transactionResult](s.t, s.run(cashOut("withdrawal-1", "--yes", "--json")...)).CashOut.TransactionID
			require.NoError(s.t, s.box.FailCashOut(id, "PIX_KEY_NOT_FOUND", "no such key"))
		}, "failed later, so the money came back"},
	} {
		for _, more := range [][]string{{"--yes"}, {"--yes", "--json"}} {
			t.Run(name+" "+strings.Join(more, " "), func(t *testing.T) {
				s := newShell(t)
				test.fault(s)
				command := s.program(cashOut("withdrawal-1", more...)...)
				reader, writer, err := os.Pipe()
				require.NoError(t, err)
				require.NoError(t, reader.Close())
				var stderr bytes.Buffer
				command.Stdout, command.Stderr = writer, &stderr
				require.NoError(t, command.Start())
				require.NoError(t, writer.Close())
				_ = command.Wait() // the status is checked
				assert.Equal(t, test.code, command.ProcessState.ExitCode(), stderr.String())
				assert.Contains(t, stderr.String(), test.says)
			})
		}
	}
}

// closedPipe is an output whose reader has gone.
type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestAClosedPipeDoesNotHideThatACheckFailed(t *testing.T) {
	s := newShell(t)
	s.vars["CONNECTPSP_APPLICATION_TOKEN"] = "wrong"
	for _, args := range [][]string{{"doctor"}, {"webhook", "send", "CASHIN_PAID", "--to", "http://127.0.0.1:1"}} {
		e := s.environment(args...)
		e.stdout, e.stderr = closedPipe{}, io.Discard
		assert.Equal(t, exitFailed, run(t.Context(), e), "%q", args)
	}
}

func TestTheSandboxSavesItsStateWhenItsTerminalIsClosed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows sends no such signals")
	}
	for _, signal := range []syscall.Signal{syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGTERM} {
		path := filepath.Join(t.TempDir(), "state.json")
		command := (&shell{t: t}).program("sandbox", "--port", "0", "--state", path)
		stderr, err := command.StderrPipe()
		require.NoError(t, err)
		require.NoError(t, command.Start())
		line, err := bufio.NewReader(stderr).ReadString('\n')
		require.NoError(t, err)
		require.Contains(t, line, "stop it with Ctrl-C")
		require.NoError(t, os.Remove(path))
		require.NoError(t, command.Process.Signal(signal))
		require.NoError(t, command.Wait(), signal)
		assert.FileExists(t, path, "%v", signal)
	}
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
