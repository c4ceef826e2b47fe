// Package gates keeps the gates honest: what make and .ci/run say has passed has been run, and has
// not failed. In its tests the programs that they call are stand-ins, which fail when told to.
package gates

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const root = "../.."

// standIn is what every program is. It writes down each call, and the call with the number FAIL_AT
// fails. The others do what make and .ci/run rely on.
const standIn = `#!/bin/sh
program=${0##*/}
{ printf '%s' "$PWD"; printf '\t%s' "$program" "$@"; printf '\n'; } >>"$STAND_IN/calls"
if [ "$(grep -c '' "$STAND_IN/calls")" = "$FAIL_AT" ]; then
	if [ -z "$KILLED" ]; then exit 1; fi
	printf '%s\n' "$GO_TEST_SAYS" # and then no more
	kill -KILL $$
fi
case "$program $*" in
'go generate ./...') printf 'generated\n' >gen/gen.gen.go ;;
'go test '*) printf '%s\n' "$GO_TEST_SAYS" ;;
'gofmt '*) printf '%s' "$GOFMT_SAYS" ;;
'git rev-parse refs/tags/v1.2.3') printf 'the-tag\n' ;;
'git status --porcelain') printf '%s' "$GIT_STATUS_SAYS" ;;
'gh api repos/{owner}/{repo}/git/tags/the-tag --jq .verification.verified') printf '%s\n' "$GH_SAYS" ;;
pg_config*) printf '%s\n' "$STAND_IN" ;;
'id -u') printf '1000\n' ;;
esac
`

// scene is a tree with the project's Makefile and .ci/run, and nothing of which they could fail.
type scene struct{ tree, standIn string }

func newScene(t *testing.T, programs ...string) scene {
	t.Helper()
	if _, err := exec.LookPath("make"); err != nil || runtime.GOOS == "windows" {
		t.Skip("needs make and a shell")
	}
	tree, err := filepath.EvalSymlinks(t.TempDir()) // as the shell knows it
	require.NoError(t, err)
	s := scene{tree, t.TempDir()}
	for _, name := range []string{"Makefile", ".ci/run"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		s.write(t, filepath.Join(tree, name), string(text))
	}
	for name, text := range map[string]string{
		".ci/with-chromium":   "#!/bin/sh\nexec \"$@\"\n",
		".ci/with-postgres":   "#!/bin/sh\nif [ \"$1\" = --pgbouncer ]; then shift; fi\nexec \"$@\"\n",
		"gen/gen.gen.go":      "generated\n",
		"pix/fuzz_test.go":    "func FuzzFirst(f *testing.F) {}\nfunc FuzzSecond(f *testing.F) {}\n",
		"auth/fuzz_test.go":   "func FuzzThird(f *testing.F) {}\n",
		"cmd/connectpsp/a":    "",
		"otel/a":              "",
		"dashboards/a":        "",
		"integration/a":       "",
		"examples/receiver/a": "",
		"examples/payouts/a":  "",
		"bench/a":             "",
		"internal/specsync/a": "",
	} {
		s.write(t, filepath.Join(tree, name), text)
	}
	for _, program := range programs {
		s.write(t, filepath.Join(s.standIn, program), standIn)
	}
	return s
}

func (s scene) write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o755))
}

// run runs a command on the scene, and returns what was called, what was printed, and whether it
// went well. Settings are variables of the stand-ins.
func (s scene) run(t *testing.T, command []string, settings ...string) (calls [][]string, printed string, passed bool) {
	t.Helper()
	log := filepath.Join(s.standIn, "calls")
	require.NoError(t, os.WriteFile(log, nil, 0o644))
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir = s.tree
	// Nothing of the make that runs this test.
	cmd.Env = append([]string{
		"PATH=" + s.standIn + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + s.standIn, "TMPDIR=" + s.standIn,
		"STAND_IN=" + s.standIn, "VERSION=v1.2.3", "GH_SAYS=true", "GO_TEST_SAYS=ok \ta/package\t0.1s\tcoverage: 100.0% of statements",
	}, settings...)
	output, err := cmd.CombinedOutput()
	text, readErr := os.ReadFile(log)
	require.NoError(t, readErr)
	for line := range strings.Lines(string(text)) {
		calls = append(calls, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return calls, string(output), err == nil
}

func (s scene) make(t *testing.T, target string, settings ...string) (calls [][]string, printed string, passed bool) {
	t.Helper()
	return s.run(t, []string{"make", "--no-print-directory", target, "RACE="}, settings...)
}

// called are the stand-ins of all programs that recipes call and that may fail.
var called = []string{"go", "gofmt", "git", "gh"}

// targets are all those of the Makefile that do something.
func targets(t *testing.T) (all []string) {
	t.Helper()
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	for _, match := range regexp.MustCompile(`(?m)^([a-z-]+):.*## `).FindAllStringSubmatch(string(makefile), -1) {
		if match[1] != "help" {
			all = append(all, match[1])
		}
	}
	require.Greater(t, len(all), 20)
	return all
}

func TestNoTargetHidesThatOneOfItsCommandsFailed(t *testing.T) {
	for _, target := range targets(t) {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, called...)
			calls, printed, passed := s.make(t, target)
			require.True(t, passed, printed)
			require.NotEmpty(t, calls)
			for n, call := range calls {
				_, printed, passed := s.make(t, target, fmt.Sprint("FAIL_AT=", n+1))
				assert.False(t, passed, "%q failed, and: %s", call[1:], printed)
			}
		})
	}
}

// modules returns the directories of all modules, that of the core as ".".
func modules(t *testing.T) (all []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "testdata" || entry.Name() == ".git"):
			return filepath.SkipDir
		case entry.Name() == "go.mod":
			module, err := filepath.Rel(root, filepath.Dir(path))
			all = append(all, module)
			return err
		}
		return nil
	}))
	require.Contains(t, all, ".")
	return all
}

func TestNoModuleIsLeftOut(t *testing.T) {
	s := newScene(t, called...)
	for target, command := range map[string]string{
		"test": "go test ./...", "lint": "go vet ./...", "drift": "go mod tidy -diff", "vulncheck": "go run golang.org/x/vuln/",
	} {
		calls, printed, passed := s.make(t, target)
		require.True(t, passed, printed)
		for _, module := range modules(t) {
			assert.True(t, slices.ContainsFunc(calls, func(call []string) bool {
				return call[0] == filepath.Join(s.tree, module) && strings.HasPrefix(strings.Join(call[1:], " "), command)
			}), "make %s leaves %s out", target, module)
		}
	}
}

// The gates share the modules, so that none is tested twice under the race detector.
func TestEveryModuleIsTestedWithTheRaceDetectorButDashboards(t *testing.T) {
	s := newScene(t, called...)
	var ran []string
	for _, target := range [][]string{{"test", unserved}, {"integration"}} {
		calls, printed, passed := s.run(t, append([]string{"make", "--no-print-directory", "RACE=-race"}, target...))
		require.True(t, passed, printed)
		for _, call := range calls {
			if slices.Contains(call, "-race") && call[len(call)-1] == "./..." {
				module, err := filepath.Rel(s.tree, call[0])
				require.NoError(t, err)
				ran = append(ran, module)
			}
		}
	}
	all := modules(t)
	assert.ElementsMatch(t, slices.DeleteFunc(all, func(module string) bool { return module == "dashboards" }), ran)
}

func TestTheGateOfCoverageFailsUnlessEveryPackageIsCoveredEnough(t *testing.T) {
	const enough, short = "ok \ta\t0.1s\tcoverage: 90.0% of statements", "ok \tb\t0.1s\tcoverage: 89.9% of statements"
	for _, target := range []string{"cover", "test-next", "spec-shapes", "integration"} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, called...)
			for name, c := range map[string]struct {
				says           string
				killed, passes bool
			}{
				"enough":                   {says: enough, passes: true},
				"too little":               {says: short},
				"one is too little":        {says: short + "\n" + enough},
				"a test fails":             {says: "--- FAIL: TestA (0.00s)\n" + enough},
				"a package is not built":   {says: enough + "\nFAIL\tb [build failed]"},
				"no word":                  {},
				"no word of coverage":      {says: "ok \ta\t0.1s"},
				"killed, and all was well": {says: enough, killed: true},
			} {
				settings := []string{"GO_TEST_SAYS=" + c.says}
				if c.killed {
					settings = append(settings, "FAIL_AT=1", "KILLED=yes")
				}
				_, printed, passed := s.make(t, target, settings...)
				assert.Equal(t, c.passes, passed, "%s: %s", name, printed)
			}
		})
	}
}

func TestAnUnformattedFileFailsLint(t *testing.T) {
	_, printed, passed := newScene(t, called...).make(t, "lint", "GOFMT_SAYS=pix/amount.go\n")
	assert.False(t, passed)
	assert.Contains(t, printed, "pix/amount.go")
}

// A generator that makes something else is a description that somebody has changed by hand.
func TestDriftFailsIfWhatIsGeneratedDiffersAndPutsItBack(t *testing.T) {
	s := newScene(t, called...)
	generated := filepath.Join(s.tree, "gen", "gen.gen.go")
	s.write(t, generated, "edited by hand\n")
	_, _, passed := s.make(t, "drift")
	assert.False(t, passed)
	text, err := os.ReadFile(generated)
	require.NoError(t, err)
	assert.Equal(t, "edited by hand\n", string(text))
}

func TestOnlyASignedTagIsPublished(t *testing.T) {
	published := func(call []string) bool { return slices.Equal(call[1:4], []string{"gh", "release", "create"}) }
	for _, verified := range []string{"true", "false", "null", ""} {
		calls, printed, passed := newScene(t, called...).make(t, "publish", "GH_SAYS="+verified)
		assert.Equal(t, verified == "true", passed, printed)
		assert.Equal(t, verified == "true", slices.ContainsFunc(calls, published), "%q", verified)
	}
}

// unserved are the nested modules that make integration does not test.
const unserved = "NESTED=otel dashboards bench internal/specsync"

// gates are what .ci/run is to run, and with it the workflows and a release. Whatever is to be no
// gate any more goes from here, too.
var gates = []string{
	"lint", "drift", "cross", "contract RACE=", "contract-staging", "api", "spec-shapes", "readme-run", "demo", "demo-webhooks", "simulate",
	"sockets", "crash", "integration N=1000000 RACE=-race", "page", "bench-smoke", "fuzz FUZZTIME=5000x",
	"test RACE=-race " + unserved, "test-next",
}

func TestEveryGateIsRun(t *testing.T) {
	calls, printed, passed := newScene(t, "make", "git").run(t, []string{"bash", ".ci/run"})
	require.True(t, passed, printed)
	assert.Contains(t, printed, "All gates passed.")
	var ran []string
	for _, call := range calls {
		if call[1] == "make" {
			ran = append(ran, strings.Join(call[2:], " "))
		}
	}
	assert.ElementsMatch(t, gates, ran)
}

func TestNoGateThatFailedIsPassedOver(t *testing.T) {
	s := newScene(t, "make", "git")
	for n := range len(gates) + 1 { // the last is what asks git
		calls, printed, passed := s.run(t, []string{"bash", ".ci/run"}, fmt.Sprint("FAIL_AT=", n+1))
		assert.False(t, passed, printed)
		assert.NotContains(t, printed, "All gates passed")
		assert.Len(t, calls, n+1, "nothing more is run")
	}
	_, printed, passed := s.run(t, []string{"bash", ".ci/run"}, "GIT_STATUS_SAYS=?? left-behind\n")
	assert.False(t, passed)
	assert.Contains(t, printed, "left-behind")
	assert.NotContains(t, printed, "All gates passed")
}

func TestADatabaseServerIsStoppedAndHidesNoFailure(t *testing.T) {
	s := newScene(t, "go", "id", "pg_config", "initdb", "pg_ctl", "pg_isready", "pgbouncer")
	text, err := os.ReadFile(filepath.Join(root, ".ci", "with-postgres"))
	require.NoError(t, err)
	s.write(t, filepath.Join(s.tree, ".ci", "with-postgres"), string(text))
	command := []string{"bash", ".ci/with-postgres", "--pgbouncer", "go", "test", "./..."}
	calls, printed, passed := s.run(t, command)
	require.True(t, passed, printed)
	assert.Equal(t, []string{s.tree, "go", "test", "./..."}, calls[len(calls)-2])
	for n, call := range calls[:len(calls)-1] {
		if !slices.Contains([]string{"initdb", "pg_ctl", "pgbouncer", "go"}, call[1]) {
			continue
		}
		calls, printed, passed := s.run(t, command, fmt.Sprint("FAIL_AT=", n+1))
		assert.False(t, passed, "%q failed, and: %s", call[1:], printed)
		last := calls[len(calls)-1]
		assert.Equal(t, []string{"pg_ctl", "stop"}, []string{last[1], last[len(last)-1]})
	}
}

var declaration = regexp.MustCompile(`(?m)^func ((?:Test|Example)\w*)\(`)

// A test that is renamed would leave a gate that runs nothing, and passes.
func TestEveryTestThatTheMakefileNamesIsThere(t *testing.T) {
	s := newScene(t, called...)
	named := 0
	for _, target := range targets(t) {
		calls, printed, passed := s.make(t, target)
		require.True(t, passed, printed)
		for _, call := range calls {
			at := slices.Index(call, "-run")
			if at < 0 || call[at+1] == "^$" {
				continue
			}
			pattern := regexp.MustCompile(call[at+1])
			directory, err := filepath.Rel(s.tree, call[0])
			require.NoError(t, err)
			packages := 0
			for _, argument := range call[at+2:] {
				if !strings.HasPrefix(argument, "./") {
					continue
				}
				packages++
				files, err := filepath.Glob(filepath.Join(root, directory, strings.TrimSuffix(argument, "/..."), "*_test.go"))
				require.NoError(t, err)
				found := false
				for _, file := range files {
					text, err := os.ReadFile(file)
					require.NoError(t, err)
					for _, name := range declaration.FindAllStringSubmatch(string(text), -1) {
						found = found || pattern.MatchString(name[1])
					}
				}
				assert.True(t, found, "make %s: no test in %s is named %s", target, argument, pattern)
			}
			assert.NotZero(t, packages, "%q", call)
			named++
		}
	}
	assert.GreaterOrEqual(t, named, 5)
}
