package webhook

import (
	"fmt"
	"io"
	"log/slog"
)

// Values that goroutines share print their type name only: fmt would race with writers of the
// fields, and the fields of an inbox contain personal data. Values about one transaction print its
// identity.

// String returns "webhook.Handler".
func (h *Handler) String() string { return "webhook.Handler" }

// Format prints String under every verb.
func (h *Handler) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, h.String()) }

// LogValue logs String.
func (h *Handler) LogValue() slog.Value { return slog.StringValue(h.String()) }

// String returns "webhook.Worker".
func (w *Worker) String() string { return "webhook.Worker" }

// Format prints String under every verb.
func (w *Worker) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, w.String()) }

// LogValue logs String.
func (w *Worker) LogValue() slog.Value { return slog.StringValue(w.String()) }

// String returns "webhook.MemoryInbox".
func (m *MemoryInbox) String() string { return "webhook.MemoryInbox" }

// Format prints String under every verb.
func (m *MemoryInbox) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, m.String()) }

// LogValue logs String.
func (m *MemoryInbox) LogValue() slog.Value { return slog.StringValue(m.String()) }

// Format prints String under every verb, so that %#v prints no personal data either.
func (e Event) Format(f fmt.State, verb rune) { fmt.Fprintf(f, fmt.FormatString(f, verb), e.String()) }

// Format prints String under every verb, so that %#v prints no personal data either.
func (t Transition) Format(f fmt.State, verb rune) {
	fmt.Fprintf(f, fmt.FormatString(f, verb), t.String())
}
