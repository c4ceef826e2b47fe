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
	answerTimeout = 5 * time.Second // of real time, from dialling to the end of the receiver's answer
	answerLimit   = 64 << 10        // bytes read of the answer, so that the connection can be used again
)

var errNotLoopback = errors.New("refused: a sandbox sends webhooks to loopback addresses only")

// event is a webhook. It is not changed once made.
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

// publish sends a webhook about a transaction, which data tells, and returns it. Without a URL it
// does neither. The lock is held.
func (s *Sandbox) publish(url, eventType, transactionID string, data any) *event {
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

// post makes one attempt and returns the status of the answer.
func (c *dispatcher) post(event *event, eventID string) (int, error) {
	request, err := http.NewRequestWithContext(c.ctx, http.MethodPost, event.url, bytes.NewReader(event.body))
	if err != nil {
		return 0, err
	}
	// Not even net/http may send the same X-Event-Id twice.
	request.GetBody = nil
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Connect-Signature", hex.EncodeToString(signing.Sum(c.cryptoToken, event.body)))
	request.Header.Set("X-Event-Id", eventID)
	response, err := c.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	// The status is what counts.
	_, _ = io.CopyN(io.Discard, response.Body, answerLimit)
	return response.StatusCode, nil
}

// newWebhookClient returns a client that cannot be led away from this machine: not by a proxy in
// the environment, not by a redirect, not by what localhost may resolve to.
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
			MaxResponseHeaderBytes: answerLimit,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       answerTimeout,
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
