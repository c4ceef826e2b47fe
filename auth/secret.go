package auth

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret contains a credential that must not reach a log, an error or a dump. Every fmt verb, slog,
// encoding/json and [encoding.TextMarshaler] print "[redacted]". As an unexported field of another
// struct, where fmt cannot call methods, it prints as an address. Only [Secret.Reveal] returns the
// text.
//
// The zero value is the unset secret. Secrets are immutable, and goroutines may share them. They
// cannot be compared with ==.
type Secret struct {
	// Neither fmt nor a dumper that uses reflection can look into a func.
	reveal func() string
}

// NewSecret returns a [Secret] with the text s. An empty s gives the unset secret.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{reveal: func() string { return s }}
}

// Reveal returns the text of the secret, or "" if it is unset. Call it only where the text is sent.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsZero reports whether the secret is unset.
func (s Secret) IsZero() bool { return s.reveal == nil }

// String returns "[redacted]".
func (s Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (s Secret) GoString() string { return redacted }

// Format prints "[redacted]" under every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue logs "[redacted]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]", in JSON too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
