package pgproxy

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// message writes a message of the protocol. A kind of 0 is a start-up message's.
func message(kind byte, body string) string {
	written := string(binary.BigEndian.AppendUint32(nil, uint32(4+len(body)))) + body
	if kind == 0 {
		return written
	}
	return string(kind) + written
}

// fakeServer answers each Query and Sync as PostgreSQL does, and sends what it was asked.
type fakeServer struct {
	listener net.Listener
	asked    chan string
}

func startServer(t *testing.T) *fakeServer {
	directory, err := os.MkdirTemp("", "pgproxy")
	require.NoError(t, err)
	listener, err := net.Listen("unix", filepath.Join(directory, "socket"))
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = listener.Close()
		_ = os.RemoveAll(directory)
	})
	s := &fakeServer{listener, make(chan string, 100)}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(connection)
		}
	}()
	return s
}

func (s *fakeServer) serve(connection net.Conn) {
	defer connection.Close()
	from, status := bufio.NewReader(connection), "I"
	for header := 4; ; header = 5 {
		request, err := read(from, header)
		if err != nil {
			s.asked <- "it is gone"
			return
		}
		body := string(request[header:])
		s.asked <- body
		switch {
		case header == 5 && strings.HasPrefix(body, "begin"):
			status = "T"
		case header == 5 && strings.HasPrefix(body, "commit"):
			status = "I"
		case header == 5 && request[0] != 'Q' && request[0] != 'S':
			continue
		}
		if _, err := io.WriteString(connection, message('C', "done\x00")+message('Z', status)); err != nil {
			return
		}
	}
}

// next returns what the server was asked next.
func (s *fakeServer) next(t *testing.T) string {
	select {
	case asked := <-s.asked:
		return asked
	case <-time.After(10 * time.Second):
		t.Fatal("the server is not asked")
		return ""
	}
}

// client speaks the protocol through the proxy.
type client struct {
	net.Conn
	from *bufio.Reader
}

func connect(t *testing.T, p *Proxy) *client {
	connection, err := net.Dial("unix", filepath.Join(p.Host(), ".s.PGSQL.5432"))
	require.NoError(t, err)
	require.NoError(t, connection.SetDeadline(time.Now().Add(10*time.Second)))
	t.Cleanup(func() { _ = connection.Close() })
	return &client{connection, bufio.NewReader(connection)}
}

// ask sends messages, and returns the types of those of the response, empty if the connection
// breaks.
func (c *client) ask(messages ...string) (response string) {
	if _, err := io.WriteString(c, strings.Join(messages, "")); err != nil {
		return ""
	}
	for !strings.HasSuffix(response, "Z") {
		message, err := read(c.from, 5)
		if err != nil {
			return ""
		}
		response += string(message[0])
	}
	return response
}

func query(statement string) string { return message('Q', statement+"\x00") }

// execute is a statement that is prepared and executed.
func execute(statement string) string {
	return message('P', "name\x00"+statement+"\x00\x00\x00") + message('B', "\x00name\x00\x00\x00\x00\x00\x00\x00") +
		message('E', "\x00\x00\x00\x00\x00") + message('S', "")
}

func TestOnlyWhatCommitsIsLost(t *testing.T) {
	for name, c := range map[string]struct {
		before, statement string
		commits           bool
	}{
		"commit":                               {query("begin"), query("commit"), true},
		"commit, prepared":                     {query("begin"), execute("COMMIT"), true},
		"write":                                {"", query("\n\tINSERT INTO a VALUES (1)"), true},
		"write, prepared":                      {"", execute("WITH a AS (DELETE FROM a) UPDATE b SET c = 1"), true},
		"write in a transaction":               {query("begin"), query("UPDATE a SET b = 1"), false},
		"write in a transaction, prepared":     {query("begin"), execute("DELETE FROM a"), false},
		"read":                                 {"", query("SELECT 1"), false},
		"read, prepared":                       {"", execute("SELECT 1"), false},
		"nothing":                              {"", query(""), false},
		"rollback":                             {query("begin"), query("rollback"), false},
		"a statement that was never prepared":  {"", message('E', "\x00\x00\x00\x00\x00") + message('S', ""), false},
		"a message that is no statement, Sync": {"", message('S', ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			server := startServer(t)
			var fate, asked atomic.Int64
			p, err := Start(server.listener.Addr().String(), func() Fate {
				asked.Add(1)
				return Fate(fate.Load())
			})
			require.NoError(t, err)
			defer func() { assert.NoError(t, p.Close()) }()
			c1, c2, c3 := connect(t, p), connect(t, p), connect(t, p)
			for _, one := range []*client{c1, c2, c3} {
				require.NotEmpty(t, one.ask(message(0, "start")))
				if c.before != "" {
					require.NotEmpty(t, one.ask(c.before))
				}
			}
			assert.NotEmpty(t, c1.ask(c.statement))
			fate.Store(int64(LoseRequest))
			assert.Equal(t, c.commits, c2.ask(c.statement) == "")
			fate.Store(int64(LoseResponse))
			assert.Equal(t, c.commits, c3.ask(c.statement) == "")
			assert.Equal(t, c.commits, asked.Load() == 3)
			assert.Equal(t, !c.commits, asked.Load() == 0)
		})
	}
}

func TestALostRequestIsNotExecutedAndALostResponseIs(t *testing.T) {
	for fate, executed := range map[Fate]string{Pass: "commit\x00", LoseRequest: "it is gone", LoseResponse: "commit\x00"} {
		server := startServer(t)
		p, err := Start(server.listener.Addr().String(), func() Fate { return fate })
		require.NoError(t, err)
		c := connect(t, p)
		require.NotEmpty(t, c.ask(message(0, "start")))
		require.NotEmpty(t, c.ask(query("begin")))
		assert.Equal(t, fate == Pass, c.ask(query("commit")) != "")
		assert.Equal(t, []string{"start", "begin\x00", executed}, []string{server.next(t), server.next(t), server.next(t)})
		require.NoError(t, p.Close())
		assert.Empty(t, c.ask(query("SELECT 1")), "the proxy is closed")
	}
}

func TestASwitchBreaksAllConnectionsAndLeadsToTheOtherServer(t *testing.T) {
	first, second := startServer(t), startServer(t)
	p, err := Start(first.listener.Addr().String(), func() Fate { return Pass })
	require.NoError(t, err)
	defer p.Close()
	c := connect(t, p)
	require.NotEmpty(t, c.ask(message(0, "start")))
	p.Switch(second.listener.Addr().String())
	assert.Empty(t, c.ask(query("SELECT 1")))
	c = connect(t, p)
	require.NotEmpty(t, c.ask(message(0, "start again")))
	assert.Equal(t, "start again", second.next(t))
	p.Switch("nowhere")
	assert.Empty(t, connect(t, p).ask(message(0, "start")))
}
