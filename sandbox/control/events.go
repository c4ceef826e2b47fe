package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/connectpsp/connectpsp-go/sandbox"
)

const (
	watchInterval = 200 * time.Millisecond
	writeTimeout  = 10 * time.Second // of an event, for a subscriber that does not read
)

// serveEvents sends the state as a server-sent event, at first and after each change. Each second
// of a clock that runs is an event "clock".
func (h *handler) serveEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead {
		return
	}
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	control := http.NewResponseController(w)
	var seen watched
	var second time.Time
	for quiet := 0; ; quiet++ {
		now := h.gateway.Now().Truncate(time.Second)
		current, err := h.watcher.look(h.gateway)
		_ = control.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every ResponseWriter has one
		switch {
		case err != nil:
			return
		case seen.state == nil || current.changes != seen.changes:
			_, err = fmt.Fprintf(w, "data: %s\n\n", current.state)
			seen, second, quiet = current, now, 0
		case !now.Equal(second):
			_, err = fmt.Fprintf(w, "event: clock\ndata: %s\n\n", now.Format(time.RFC3339))
			second, quiet = now, 0
		case quiet >= 50: // tells both sides that the connection lives
			_, err = fmt.Fprint(w, ":\n\n")
			quiet = 0
		}
		if err == nil {
			err = control.Flush()
		}
		if err != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		}
	}
}

// watched is the state as JSON, after so many changes.
type watched struct {
	changes uint64
	state   []byte
}

// watcher makes the state once for all subscribers, and only after a change.
type watcher struct {
	mu   sync.Mutex
	last watched
}

// look returns the present state.
func (w *watcher) look(s *sandbox.Sandbox) (watched, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	changes := s.Changes() // before the state, which may be newer
	if w.last.state != nil && w.last.changes == changes {
		return w.last, nil
	}
	text, err := json.Marshal(stateOf(s))
	if err != nil {
		return watched{}, err
	}
	w.last = watched{changes, text}
	return w.last, nil
}
