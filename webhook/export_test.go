package webhook

import (
	"net/http"

	"github.com/connectpsp/connectpsp-go/auth"
)

// NewSmallMemoryInbox is NewMemoryInbox with another limit.
func NewSmallMemoryInbox(limit int) *MemoryInbox {
	m := NewMemoryInbox()
	m.limit = limit
	return m
}

// Verify is the first half of Parse.
func Verify(body []byte, header http.Header, secrets ...auth.Secret) error {
	return verify(body, header, secrets)
}
