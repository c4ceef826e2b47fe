package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// defaultURL is a guess at the provider's address for downloads of the description. It has never
// been reached.
const defaultURL = "https://docs.connectpsp.com/_bundle/apis/index.yaml?download"

const (
	maxDescription = 8 << 20 // bytes
	fetchTimeout   = time.Minute
	maxRedirects   = 5
)

// fetch reads a description from a URL or a file.
func fetch(ctx context.Context, client *http.Client, from string) ([]byte, error) {
	if strings.Contains(from, "://") {
		return download(ctx, client, from)
	}
	return readFile(from)
}

// origin returns the source of a description for spec.lock: an address without its query, which may
// contain a token, or the base name of a file.
func origin(from string) string {
	if parsed, err := url.Parse(from); err == nil && strings.Contains(from, "://") {
		parsed.RawQuery, parsed.Fragment = "", ""
		return parsed.String()
	}
	if filepath.IsLocal(from) {
		return filepath.ToSlash(from)
	}
	return filepath.Base(from)
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return bounded(file)
}

func download(ctx context.Context, given *http.Client, from string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	if err := secure(from); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/yaml, application/json, */*;q=0.5")
	client := *given
	client.CheckRedirect = func(next *http.Request, before []*http.Request) error {
		if len(before) >= maxRedirects {
			return errors.New("it is redirected too often")
		}
		return secure(next.URL.String())
	}
	response, err := client.Do(request)
	if failure := new(url.Error); errors.As(err, &failure) {
		return nil, failure.Err // without the address, whose query may hold a token
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %d %s: look at the address in a browser", response.StatusCode, http.StatusText(response.StatusCode))
	}
	return bounded(response.Body)
}

// secure refuses addresses without TLS.
func secure(address string) error {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme != "https" || parsed.Host == "" || parsed.User != nil {
		return errors.New("it must be an https address without user and password")
	}
	return nil
}

func bounded(from io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxDescription+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("it could not be read to its end: %w", err)
	case len(text) > maxDescription:
		return nil, fmt.Errorf("it is larger than %d MiB", maxDescription>>20)
	default:
		return text, nil
	}
}
