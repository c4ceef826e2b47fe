package main

import (
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
		if err := f.box.Restore(text); err != nil {
			return usage("--state: %s is not the state of a sandbox, or of another version: name another file (%v)", f.path, err)
		}
		if now := time.Now(); moving && now.After(f.box.Now()) {
			if err := f.box.SetTime(now); err != nil {
				return err
			}
		}
	}
	if err := f.save(); err != nil {
		return usage("%v", err)
	}
	return nil
}

// keep returns a handler that writes the file before each response to a request that may have
// changed the state. So what a client has seen outlives a kill of the process.
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
