// Package pgproxy is a proxy between a program under test and a PostgreSQL server. It breaks the
// connection when a transaction commits: before the server has seen the COMMIT, or after the server
// has executed it and before the program hears of it. The program cannot tell which.
package pgproxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
)

// Fate is what happens to a commit.
type Fate int

const (
	// Pass is a commit that the program hears of.
	Pass Fate = iota
	// LoseRequest breaks the connection before the server has seen the commit. The server rolls the
	// transaction back.
	LoseRequest
	// LoseResponse breaks the connection after the server has committed the transaction.
	LoseResponse
)

// Proxy listens on a Unix socket. Goroutines may share it.
type Proxy struct {
	directory string
	listener  net.Listener
	fate      func() Fate
	links     sync.WaitGroup

	mu     sync.Mutex
	server string
	open   map[*link]struct{} // nil after Close
}

// Start starts a proxy for the server with this Unix socket. It calls fate for each commit: a
// COMMIT, and a statement outside of a transaction that writes. Connections call it concurrently.
// The program must not ask for encryption, which drivers do not do on a Unix socket.
func Start(server string, fate func() Fate) (*Proxy, error) {
	directory, err := os.MkdirTemp("", "pgproxy") // short, as the path of a socket has to be
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", filepath.Join(directory, ".s.PGSQL.5432"))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(directory))
	}
	p := &Proxy{directory: directory, listener: listener, fate: fate, server: server, open: map[*link]struct{}{}}
	p.links.Go(p.serve)
	return p, nil
}

// Host returns the host of a connection string that leads through the proxy. The port is 5432.
func (p *Proxy) Host() string { return p.directory }

// Switch breaks all connections, and sends new ones to the server with this Unix socket.
func (p *Proxy) Switch(server string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = server
	for l := range p.open {
		l.close()
	}
}

// Close stops the proxy and breaks all connections.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.mu.Lock()
	for l := range p.open {
		l.close()
	}
	p.open = nil
	p.mu.Unlock()
	p.links.Wait()
	return errors.Join(err, os.RemoveAll(p.directory))
}

func (p *Proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.links.Go(func() { p.connect(client) })
	}
}

// connect passes on what a client and the server say until one of them, or the proxy, ends it.
func (p *Proxy) connect(client net.Conn) {
	p.mu.Lock()
	address := p.server
	p.mu.Unlock()
	server, err := net.Dial("unix", address)
	if err != nil {
		_ = client.Close()
		return
	}
	l := &link{client: client, server: server, fate: p.fate, prepared: map[string]string{}}
	defer l.close()
	p.mu.Lock()
	if p.open == nil || p.server != address {
		p.mu.Unlock()
		return
	}
	p.open[l] = struct{}{}
	p.mu.Unlock()
	var responses sync.WaitGroup
	responses.Go(func() {
		defer l.close()
		l.passResponses()
	})
	l.passRequests()
	l.close()
	responses.Wait()
	p.mu.Lock()
	delete(p.open, l)
	p.mu.Unlock()
}

// link is the connection of a client, and the one to the server in its place.
type link struct {
	client, server net.Conn
	fate           func() Fate

	idle   atomic.Bool // no transaction is open
	losing atomic.Bool // the response to the present request is lost

	prepared map[string]string // the prepared statements, by name
	bound    string            // the statement that Execute executes
}

func (l *link) close() {
	_ = l.client.Close()
	_ = l.server.Close()
}

// passRequests passes on what the client says. The first message has no type.
func (l *link) passRequests() {
	from := bufio.NewReader(l.client)
	for header := 4; ; header = 5 {
		message, err := read(from, header)
		if err != nil {
			return
		}
		if header == 5 && l.commits(message[0], message[5:]) {
			switch l.fate() {
			case LoseRequest:
				return
			case LoseResponse:
				l.losing.Store(true)
			}
		}
		if _, err := l.server.Write(message); err != nil {
			return
		}
	}
}

// passResponses passes on what the server says. ReadyForQuery ends each response, after the commit
// if there was one, and tells whether a transaction is open.
func (l *link) passResponses() {
	from := bufio.NewReader(l.server)
	for {
		message, err := read(from, 5)
		if err != nil {
			return
		}
		ready := message[0] == 'Z'
		if ready {
			l.idle.Store(message[5] == 'I')
		}
		if l.losing.Load() {
			if ready {
				return
			}
			continue
		}
		if _, err := l.client.Write(message); err != nil {
			return
		}
	}
}

// read reads a message, whose header ends in the length of what follows the type, if any.
func read(from *bufio.Reader, header int) ([]byte, error) {
	start, err := from.Peek(header)
	if err != nil {
		return nil, err
	}
	message := make([]byte, header-4+int(binary.BigEndian.Uint32(start[header-4:])))
	_, err = io.ReadFull(from, message)
	return message, err
}

// commits reports whether a message of the client commits something, and notes which statement a
// later Execute would execute.
func (l *link) commits(kind byte, body []byte) bool {
	first, rest, _ := bytes.Cut(body, []byte{0})
	second, _, _ := bytes.Cut(rest, []byte{0})
	switch kind {
	case 'Q': // Query
		return l.isCommit(string(first))
	case 'P': // Parse: a name, and the statement
		l.prepared[string(first)] = string(second)
	case 'B': // Bind: a portal, and the name of the statement
		l.bound = l.prepared[string(second)]
	case 'E': // Execute
		return l.isCommit(l.bound)
	}
	return false
}

func (l *link) isCommit(statement string) bool {
	words := strings.Fields(strings.ToUpper(statement))
	if len(words) == 0 {
		return false
	}
	switch words[0] {
	case "COMMIT":
		return true
	case "INSERT", "UPDATE", "DELETE", "WITH":
		return l.idle.Load()
	default:
		return false
	}
}
