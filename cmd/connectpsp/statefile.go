package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/connectpsp/connectpsp-go/sandbox"
)

// stateFile is the file that a sandbox has its state in.
type stateFile struct {
	app  *app
	box  *sandbox.Sandbox
	path string

	asked atomic.Uint64 // how many saves were asked for
	mu    sync.Mutex    // guards the file and saved
	saved uint64        // how many of them the file has
}

// restore makes the sandbox go on from the file, at the present time if moving is set. A file that
// is not there yet changes nothing. It is written at once, to fail before anything has happened.
func (f *stateFile) restore(moving bool) error {
	text, err := os.ReadFile(f.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return usage("--state: %v", err)
	default:
		if moving {
			text = atPresent(text, time.Now())
		}
		if err := f.box.Restore(text); err != nil {
			return usage("--state: %s is not the state of a sandbox, or of another version: name another file (%v)", f.path, err)
		}
	}
	if err := f.save(); err != nil {
		return usage("%v", err)
	}
	return nil
}

// atPresent returns a snapshot whose clock is at now, unless it is ahead. Moving the clock of the
// sandbox instead would make every attempt at a webhook that was missed, and wait for each.
func atPresent(text []byte, now time.Time) []byte {
	var state map[string]json.RawMessage
	var at time.Time
	if json.Unmarshal(text, &state) != nil || json.Unmarshal(state["time"], &at) != nil || !now.After(at) {
		return text
	}
	state["time"], _ = json.Marshal(now.UTC())
	moved, err := json.Marshal(state)
	if err != nil {
		return text // it is JSON, because it could be decoded
	}
	return moved
}

// linked returns the file that a path leads to, so that a link stays one. The file need not exist.
func linked(path string) string {
	for range 40 { // links that go round in a circle are no file, as opening the path says
		target, err := os.Readlink(path)
		if err != nil {
			return path
		}
		if !filepath.IsAbs(target) {
			target = filepath.Dir(path) + string(filepath.Separator) + target
		}
		path = target
	}
	return path
}

// keep returns a handler that writes the file before each response to a request that may have
// changed the state. A response that a client has read survives a kill of the process.
func (f *stateFile) keep(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		saving := &savingWriter{ResponseWriter: w, save: sync.OnceFunc(func() {
			if err := f.save(); err != nil {
				f.app.say("%v", err)
			}
		})}
		defer saving.save() // also if the connection is cut without a response
		next.ServeHTTP(saving, r)
	})
}

// savingWriter calls save before the response.
type savingWriter struct {
	http.ResponseWriter
	save func()
}

// WriteHeader saves, and begins the response.
func (w *savingWriter) WriteHeader(status int) {
	w.save()
	w.ResponseWriter.WriteHeader(status)
}

// Write saves, and writes a part of the response.
func (w *savingWriter) Write(data []byte) (int, error) {
	w.save()
	return w.ResponseWriter.Write(data)
}

// Unwrap is for [http.ResponseController].
func (w *savingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// save writes the state to the file as a whole or not at all. Calls that wait for one another write
// it once.
func (f *stateFile) save() error {
	own := f.asked.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.saved >= own {
		return nil
	}
	upTo := f.asked.Load()
	text, err := f.box.Snapshot()
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(f.path), ".connectpsp-sandbox-*") // of mode 0600
	if err != nil {
		return fmt.Errorf("--state: the state cannot be written: %w", err)
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), f.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("--state: the state cannot be written: %w", err), os.Remove(file.Name()))
	}
	f.saved = upTo
	return nil
}
