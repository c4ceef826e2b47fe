package sandbox

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/connectpsp/connectpsp-go/signing"
)

const (
	responseTimeout = 5 * time.Second // of real time, from the dial to the end of the response
	responseLimit   = 64 << 10        // bytes of a response that are read, to reuse the connection
)

var errNotLoopback = errors.New("refused: a sandbox sends webhooks to loopback addresses only")

// event is the content of a webhook. It is immutable.
type event struct {
	eventType     string
	transactionID string
	url           string
	body          []byte
}

// The types of events.
const (
	cashInPaid       = "CASHIN_PAID"
	cashInRefunded   = "CASHIN_REFUNDED"
	cashOutCompleted = "CASHOUT_COMPLETED"
	cashOutFailed    = "CASHOUT_FAILED"
	cashOutRefunded  = "CASHOUT_REFUNDED"
)

// publishLocked sends a webhook with the data of a transaction, and returns it. Without a URL it
// sends nothing and returns nil.
func (s *Sandbox) publishLocked(url, eventType, transactionID string, data any) *event {
	if url == "" {
		return nil
	}
	body, err := json.Marshal(struct {
		EventType string    `json:"eventType"`
		EventAt   time.Time `json:"eventAt"`
		Data      any       `json:"data"`
	}{eventType, s.Now().Truncate(time.Second), data})
	if err != nil {
		// The data are the sandbox's own. Only a year beyond 9999 cannot be written.
		panic(fmt.Sprintf("sandbox: %v", err))
	}
	published := &event{eventType: eventType, transactionID: transactionID, url: url, body: body}
	s.dispatcher.send(published)
	return published
}

// post makes one attempt, and returns the status of the response.
func (d *dispatcher) post(e *event, eventID string) (int, error) {
	request, err := http.NewRequestWithContext(d.ctx, http.MethodPost, e.url, bytes.NewReader(e.body))
	if err != nil {
		return 0, err
	}
	// net/http must not replay the request either: an X-Event-Id is sent once.
	request.GetBody = nil
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Connect-Signature", hex.EncodeToString(signing.Sum(d.cryptoToken, e.body)))
	request.Header.Set("X-Event-Id", eventID)
	response, err := d.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	// Only the status counts.
	_, _ = io.CopyN(io.Discard, response.Body, responseLimit)
	return response.StatusCode, nil
}

// newWebhookClient returns a client that connects to this machine only, also with a proxy in the
// environment, after a redirect, or if localhost resolves to another address.
func newWebhookClient() *http.Client {
	dialer := &net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		target, err := netip.ParseAddrPort(address)
		if err != nil || !target.Addr().Unmap().IsLoopback() {
			return errNotLoopback
		}
		return nil
	}}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			MaxIdleConnsPerHost:    maxConcurrency,
			MaxResponseHeaderBytes: responseLimit,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       responseTimeout,
	}
}

func isLoopback(rawURL string) bool {
	u, err := url.Parse(rawURL)
	if err != nil {
		return false
	}
	if strings.EqualFold(u.Hostname(), "localhost") {
		return true
	}
	address, err := netip.ParseAddr(u.Hostname())
	return err == nil && address.Unmap().IsLoopback()
}
