package auth

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret holds a credential that must not reach a log, an error or a dump. Every fmt verb, slog,
// encoding/json and encoding.TextMarshaler print it as "[redacted]"; as an unexported field of
// another struct, where fmt cannot call methods, it prints as an address. Only Reveal gives the
// text.
//
// The zero value is the unset secret. Secrets are immutable and may be shared by goroutines. They
// cannot be compared with ==.
type Secret struct {
	// A func is the one value that neither fmt nor a reflecting dumper can look into.
	reveal func() string
}

// NewSecret returns a Secret that holds s. An empty s gives the unset secret.
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

// Format prints "[redacted]" whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue logs "[redacted]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText gives "[redacted]", in JSON too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
