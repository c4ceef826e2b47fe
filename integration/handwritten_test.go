package integration

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// handWritten is a client as it is often written by hand. Each of its methods pays or credits
// twice: docs/migrating.md says when, and what takes its place.
type handWritten struct {
	clientID string
	url      string                                     // of the gateway
	sign     func(*http.Request)                        // sets the access token, the application token and the signature
	verify   func(body []byte, header http.Header) bool // compares the signature of a webhook
	newID    func() string                              // makes a UUID
	db       *sql.DB
}

// cashOut requests a payment.
func (c *handWritten) cashOut(reference, key, pixKey string, centavos int64) (status int, err error) {
	body, err := c.body(reference, pixKey, centavos)
	if err != nil {
		return 0, err
	}
	return c.post(key, body)
}

func (c *handWritten) body(reference, pixKey string, centavos int64) ([]byte, error) {
	return json.Marshal(map[string]any{
		"amount":            float64(centavos) / 100,
		"externalReference": reference,
		"payee": map[string]any{"name": "Maria Silva", "document": "12345678909",
			"destination": map[string]any{"type": "PIX", "pixKeyType": "EMAIL", "pixKey": pixKey}},
	})
}

func (c *handWritten) post(key string, body []byte) (status int, err error) {
	request, err := http.NewRequest(http.MethodPost, c.url+"/cash-out", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Idempotency-Key", key)
	c.sign(request)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// giveBack credits the player of a withdrawal.
func (c *handWritten) giveBack(reference string) error {
	_, err := c.db.Exec(`UPDATE wallets SET centavos = centavos + (SELECT centavos FROM withdrawals WHERE reference = $1)
		WHERE player = (SELECT player FROM withdrawals WHERE reference = $1)`, reference)
	return err
}

func (c *handWritten) setState(reference, state string) error {
	_, err := c.db.Exec(`UPDATE withdrawals SET state = $1 WHERE reference = $2`, state, reference)
	return err
}

func (c *handWritten) payWithNewReferences(w payout) error {
	for range 3 {
		status, err := c.cashOut(c.newID(), c.newID(), w.pixKey, w.centavos)
		if err == nil && status == http.StatusAccepted {
			return c.setState(w.reference, "ACCEPTED")
		}
	}
	return c.giveBack(w.reference)
}

func (c *handWritten) payWithNewKeys(w payout) error {
	for range 3 {
		status, err := c.cashOut(w.reference, c.newID(), w.pixKey, w.centavos)
		switch {
		case err != nil || status >= 500:
			continue
		case status == http.StatusAccepted:
			return c.setState(w.reference, "ACCEPTED")
		default: // 409, since the reference exists already
			return c.giveBack(w.reference)
		}
	}
	return nil
}

func (c *handWritten) payOrGiveBack(w payout) error {
	status, err := c.cashOut(w.reference, c.newID(), w.pixKey, w.centavos)
	if err != nil || status != http.StatusAccepted {
		return c.giveBack(w.reference) // also after a timeout or a 503
	}
	return c.setState(w.reference, "ACCEPTED")
}

func (c *handWritten) payIfOpen(w payout) error {
	var state string
	if err := c.db.QueryRow(`SELECT state FROM withdrawals WHERE reference = $1`, w.reference).Scan(&state); err != nil {
		return err
	}
	if state != "OPEN" {
		return nil
	}
	status, err := c.cashOut(w.reference, c.newID(), w.pixKey, w.centavos) // the worker may freeze before this
	switch {
	case err != nil:
		return err // still open: tried again later
	case status != http.StatusAccepted:
		return errors.Join(c.setState(w.reference, "GIVEN BACK"), c.giveBack(w.reference))
	}
	return c.setState(w.reference, "ACCEPTED") // the process may die before this
}

func (c *handWritten) sweepInFlight() error {
	_, err := c.db.Exec(`UPDATE wallets SET centavos = centavos +
		(SELECT coalesce(sum(centavos), 0) FROM withdrawals w WHERE w.player = wallets.player AND state = 'OPEN')`)
	if err != nil {
		return err
	}
	_, err = c.db.Exec(`UPDATE withdrawals SET state = 'GIVEN BACK' WHERE state = 'OPEN'`) // open for too long
	return err
}

func (c *handWritten) payAsJob(w payout) error {
	status, err := c.cashOut(w.reference, c.newID(), w.pixKey, w.centavos)
	if err != nil {
		return err
	}
	if status != http.StatusAccepted {
		return errors.Join(errors.New("rejected"), c.giveBack(w.reference)) // the queue tries again after an error
	}
	return c.setState(w.reference, "ACCEPTED")
}

// payAgain is behind a button, for a withdrawal that was rejected.
func (c *handWritten) payAgain(w payout) error {
	_, err := c.cashOut(w.reference+"-2", c.newID(), w.pixKey, w.centavos)
	return err
}

func (c *handWritten) withdraw(player, pixKey string, centavos int64) error {
	tx, err := c.db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	reference := c.newID()
	if _, err := tx.Exec(`UPDATE wallets SET centavos = centavos - $1 WHERE player = $2`, centavos, player); err != nil {
		return err
	}
	if _, err := tx.Exec(`INSERT INTO withdrawals (reference, idempotency_key, player, pix_key, centavos) VALUES ($1, $2, $3, $4, $5)`,
		reference, c.newID(), player, pixKey, centavos); err != nil {
		return err
	}
	return tx.Commit() // an error of Commit is shown as "please try again"
}

func (c *handWritten) creditEachDelivery(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || !c.verify(body, r.Header) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var event struct {
		EventType string
		Data      struct {
			ExternalReference string
			Amount            float64
		}
	}
	if json.Unmarshal(body, &event) == nil && event.EventType == "CASHIN_PAID" {
		_, err = c.db.Exec(`UPDATE wallets SET centavos = centavos + $1 WHERE player = (SELECT player FROM deposits WHERE reference = $2)`,
			int64(event.Data.Amount*100), event.Data.ExternalReference)
	}
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

func (c *handWritten) creditEachEventID(w http.ResponseWriter, r *http.Request) {
	seen, err := c.db.Exec(`INSERT INTO seen (event_id) VALUES ($1) ON CONFLICT DO NOTHING`, r.Header.Get("X-Event-Id"))
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if n, _ := seen.RowsAffected(); n == 1 {
		c.creditEachDelivery(w, r)
	}
}

// creditOpenDeposit is the receiver while the new one runs beside it: both credit an open deposit
// only.
func (c *handWritten) creditOpenDeposit(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || !c.verify(body, r.Header) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var event struct {
		EventType string
		Data      struct{ ExternalReference string }
	}
	if json.Unmarshal(body, &event) == nil && event.EventType == "CASHIN_PAID" {
		err = c.creditDeposit(event.Data.ExternalReference)
	}
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

func (c *handWritten) creditDeposit(reference string) error {
	tx, err := c.db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	open, err := changed(tx.Exec(`UPDATE deposits SET state = 'PAID' WHERE reference = $1 AND state = 'OPEN'`, reference))
	if err != nil || !open {
		return err
	}
	if _, err := tx.Exec(`UPDATE wallets SET centavos = centavos + (SELECT centavos FROM deposits WHERE reference = $1)
		WHERE player = (SELECT player FROM deposits WHERE reference = $1)`, reference); err != nil {
		return err
	}
	return tx.Commit()
}

// cashOutInShadow still sends by hand, and writes into the SDK's journal what it sends.
func (c *handWritten) cashOutInShadow(ctx context.Context, shadow connectpsp.Journal, p payout) (status int, err error) {
	body, err := c.body(p.reference, p.pixKey, p.centavos)
	if err != nil {
		return 0, err
	}
	now := time.Now().UTC()
	earlier, err := shadow.Begin(ctx, connectpsp.Intent{
		Operation:         connectpsp.OperationCreateCashOut,
		IdempotencyKey:    p.idempotencyKey,
		ExternalReference: p.reference,
		Amount:            pix.Centavos(p.centavos),
		Body:              body,
		ClientID:          c.clientID,
		BaseURL:           c.url,
		BegunAt:           now,
	})
	if err == nil && earlier != nil {
		err = errors.New("an earlier call is open or was accepted: nothing is sent")
	}
	if err == nil {
		err = shadow.Sent(ctx, p.idempotencyKey, now)
	}
	if err != nil {
		return 0, err
	}
	status, err = c.post(p.idempotencyKey, body)
	switch {
	case err != nil: // unknown: it stays open
	case status == http.StatusAccepted:
		err = shadow.Finish(ctx, p.idempotencyKey, connectpsp.OutcomeAccepted, "")
	case status == http.StatusBadRequest, status == http.StatusUnprocessableEntity: // give the money back
		err = shadow.Finish(ctx, p.idempotencyKey, connectpsp.OutcomeRejected, "")
	}
	return status, err
}
