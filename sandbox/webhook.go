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
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/connectpsp/connectpsp-go/signing"
)

const (
	responseTimeout = 5 * time.Second // of real time, from the dial to the end of the response
	responseLimit   = 64 << 10        // bytes of a response that are read, to reuse the connection
)

var errNotLoopback = errors.New("refused: a sandbox sends webhooks to loopback addresses only, and to private networks with " +
	"WithPrivateNetwork or, from the command line, with --address 0.0.0.0")

// event is the content of a webhook. It is immutable.
type event struct {
	EventType     string `json:"eventType"`
	TransactionID string `json:"transactionId"`
	URL           string `json:"url"`
	Body          []byte `json:"body"`
	Previous      bool   `json:"previous,omitzero"` // signed with the previous CryptoToken
}

// The types of events.
const (
	cashInPaid       = "CASHIN_PAID"
	cashInRefunded   = "CASHIN_REFUNDED"
	cashOutCompleted = "CASHOUT_COMPLETED"
	cashOutFailed    = "CASHOUT_FAILED"
	cashOutRefunded  = "CASHOUT_REFUNDED"
)

// eventTypes is never modified.
var eventTypes = []string{cashInPaid, cashInRefunded, cashOutCompleted, cashOutFailed, cashOutRefunded}

// publishLocked sends a webhook with the data of a transaction, unless a fault befalls it, and
// returns it. Without a URL it sends nothing and returns nil.
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
	published := &event{EventType: eventType, TransactionID: transactionID, URL: url, Body: body}
	switch s.nextFailureLocked(eventType).Fault {
	case LoseWebhook:
	case HoldWebhook:
		s.held = append(s.held, published)
	case DoubleWebhook:
		s.dispatcher.send(published, published)
	case PreviousSignature:
		signed := *published
		signed.Previous = true
		s.dispatcher.send(&signed)
	default:
		s.dispatcher.send(published)
	}
	return published
}

// ReleaseWebhooks sends all webhooks that [HoldWebhook] holds back, and returns how many there are.
// To reorder two events, hold the first, wait for the second with [Sandbox.WaitWebhooks], and
// release the first.
func (s *Sandbox) ReleaseWebhooks() int { return s.releaseWebhooks(func([]*event) {}) }

// ReleaseWebhooksInReverse is [Sandbox.ReleaseWebhooks], and sends the webhook first that was held
// back last. Only with [WithSeed] do they go out one after the other; without it they may overtake
// each other.
func (s *Sandbox) ReleaseWebhooksInReverse() int { return s.releaseWebhooks(slices.Reverse) }

// releaseWebhooks sends all webhooks that are held back, in the order that arrange makes.
func (s *Sandbox) releaseWebhooks(arrange func([]*event)) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	released := len(s.held)
	arrange(s.held)
	s.dispatcher.send(s.held...)
	s.held = nil
	return released
}

// SendWebhook signs a body and delivers it to a URL like a webhook of a transaction, whatever the
// body is: an event of an unknown type, an event that no transaction has, or no JSON. The caller
// keeps the body. The error wraps [ErrInvalid] if the URL is not an absolute one of http or https.
func (s *Sandbox) SendWebhook(url string, body []byte) error {
	if !isWebURL(url) {
		return fmt.Errorf("%w: the URL of a webhook must be an absolute one of http or https", ErrInvalid)
	}
	var stated struct {
		EventType string `json:"eventType"`
		Data      struct {
			TransactionID string `json:"transactionId"`
		} `json:"data"`
	}
	_ = json.Unmarshal(body, &stated) // a body that is no event has neither
	s.dispatcher.send(&event{
		EventType:     stated.EventType,
		TransactionID: stated.Data.TransactionID,
		URL:           url,
		Body:          bytes.Clone(body),
	})
	return nil
}

// headerOf returns the header of one attempt.
func (d *dispatcher) headerOf(e *event, eventID string) http.Header {
	header := http.Header{}
	header.Set("Content-Type", "application/json")
	header.Set("X-Connect-Signature", hex.EncodeToString(signing.Sum(d.secretOf(e), e.Body)))
	header.Set("X-Event-Id", eventID)
	return header
}

// post makes one attempt, and returns the status of the response.
func (d *dispatcher) post(e *event, header http.Header) (int, error) {
	request, err := http.NewRequestWithContext(d.ctx, http.MethodPost, e.URL, bytes.NewReader(e.Body))
	if err != nil {
		return 0, err
	}
	// net/http must not replay the request either: an X-Event-Id is sent once.
	request.GetBody = nil
	request.Header = header
	response, err := d.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	// Only the status counts.
	_, _ = io.CopyN(io.Discard, response.Body, responseLimit)
	return response.StatusCode, nil
}

// newWebhookClient returns a client that connects to no other hosts, also with a proxy in the
// environment, after a redirect, or if localhost resolves to another address.
func newWebhookClient(reachable network) *http.Client {
	dialer := &net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		target, err := netip.ParseAddrPort(address)
		if ip := target.Addr().Unmap(); err != nil || !ip.IsLoopback() && !(reachable.private && ip.IsPrivate()) {
			return errNotLoopback
		}
		return nil
	}}
	dial := dialer.DialContext
	if reachable.memory != nil {
		dial = reachable.memory.dial
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            dial,
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
