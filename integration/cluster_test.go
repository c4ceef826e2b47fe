package integration

import (
	"bytes"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// cluster is a PostgreSQL server of a test's own, to be broken.
type cluster struct {
	binaries  string
	owner     *syscall.Credential // of the processes, nil for that of the test
	directory string              // of the socket
}

// newCluster makes a server beside the shared one and starts it.
func newCluster(t *testing.T) *cluster {
	c := newDirectory(t)
	c.run(t, "initdb", "-D", c.data(), "-U", "connectpsp", "--auth=trust", "--no-sync", "--locale=C", "--encoding=UTF8")
	c.start(t)
	return c
}

// newDirectory makes the directory of a server, in that of the shared one, which is removed when
// the tests have ended: a server whose directory is gone ends.
func newDirectory(t *testing.T) *cluster {
	address := os.Getenv("CONNECTPSP_TEST_POSTGRES")
	if address == "" {
		t.Skip("CONNECTPSP_TEST_POSTGRES is not set: make integration starts a server")
	}
	shared, err := sql.Open("pgx", address)
	require.NoError(t, err)
	defer shared.Close()
	c := &cluster{}
	var data string
	require.NoError(t, shared.QueryRowContext(t.Context(),
		`SELECT current_setting('data_directory'), (SELECT setting FROM pg_config WHERE name = 'BINDIR')`).Scan(&data, &c.binaries))
	owner, err := os.Stat(data)
	if err != nil {
		t.Skip("PostgreSQL is not on this machine")
	}
	c.directory, err = os.MkdirTemp(filepath.Dir(data), "own")
	require.NoError(t, err)
	if os.Getuid() == 0 { // the server refuses to run as root
		stat := owner.Sys().(*syscall.Stat_t)
		c.owner = &syscall.Credential{Uid: stat.Uid, Gid: stat.Gid}
		require.NoError(t, os.Chown(c.directory, int(stat.Uid), int(stat.Gid)))
	}
	require.NoError(t, os.Chmod(c.directory, 0o755))
	t.Cleanup(func() {
		c.command("pg_ctl", "-D", c.data(), "-m", "immediate", "stop").Run()
		require.NoError(t, os.RemoveAll(c.directory))
	})
	return c
}

func (c *cluster) data() string { return filepath.Join(c.directory, "data") }

func (c *cluster) socket() string { return filepath.Join(c.directory, ".s.PGSQL.5432") }

// config returns the configuration of connections to a database.
func (c *cluster) config(t *testing.T, database string) *pgx.ConnConfig {
	config, err := pgx.ParseConfig("host=" + c.directory + " user=connectpsp dbname=" + database)
	require.NoError(t, err)
	return config
}

func (c *cluster) command(program string, arguments ...string) *exec.Cmd {
	command := exec.Command(filepath.Join(c.binaries, program), arguments...)
	command.Dir = c.directory
	command.SysProcAttr = &syscall.SysProcAttr{Credential: c.owner}
	return command
}

func (c *cluster) run(t *testing.T, program string, arguments ...string) {
	t.Helper()
	var output bytes.Buffer
	command := c.command(program, arguments...)
	command.Stdout, command.Stderr = &output, &output
	require.NoError(t, command.Run(), "%s: %s", program, &output)
}

func (c *cluster) start(t *testing.T) {
	t.Helper()
	c.run(t, "pg_ctl", "-D", c.data(), "-w", "-l", filepath.Join(c.directory, "log"),
		"-o", "-c listen_addresses='' -k '"+c.directory+"' -c fsync=off", "start")
}

// stop stops the server: fast breaks all connections, immediate is a crash.
func (c *cluster) stop(t *testing.T, mode string) {
	t.Helper()
	c.run(t, "pg_ctl", "-D", c.data(), "-w", "-m", mode, "stop")
}
