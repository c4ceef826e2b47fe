package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"time"
)

// source is the origin of the description in openapi/. It is the content of spec.lock.
type source struct {
	From       string    `json:"from"` // a URL without its query, or the name of a file
	FetchedAt  time.Time `json:"fetchedAt"`
	SHA256     string    `json:"sha256"`           // of the download
	Normalised string    `json:"normalisedSHA256"` // of openapi/connectpsp.yaml
	Version    string    `json:"version"`          // info.version
	OpenAPI    string    `json:"openapi"`
}

// readLock returns the zero source if there is no file.
func readLock(path string) (source, error) {
	var last source
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return last, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &last)
	}
	return last, err
}

func (s source) text() ([]byte, error) {
	text, err := json.MarshalIndent(s, "", "  ")
	return append(text, '\n'), err
}

func sum(text []byte) string {
	digest := sha256.Sum256(text)
	return hex.EncodeToString(digest[:])
}
