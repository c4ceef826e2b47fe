package connectpsp

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/connectpsp/connectpsp-go/pix"
)

// unknownOutcome is an UnknownOutcomeError as JSON. The gateway's own words are left out: they
// may hold personal data.
type unknownOutcome struct {
	Operation         string     `json:"operation"`
	IdempotencyKey    string     `json:"idempotencyKey,omitzero"`
	ExternalReference string     `json:"externalReference,omitzero"`
	Amount            pix.Amount `json:"amount,omitzero"`
	BodySHA256        string     `json:"bodySha256,omitzero"`
	ClientID          string     `json:"clientId,omitzero"`
	BaseURL           string     `json:"baseUrl,omitzero"`
	TransactionID     string     `json:"transactionId,omitzero"`
	FirstSentAt       time.Time  `json:"firstSentAt,omitzero"`
	LastSentAt        time.Time  `json:"lastSentAt,omitzero"`
	Attempts          int        `json:"attempts"`
	StatusCode        int        `json:"statusCode,omitzero"`
	RetryAfterSeconds float64    `json:"retryAfterSeconds,omitzero"`
	Refusal           *APIError  `json:"refusal,omitzero"`
	Cause             string     `json:"cause,omitzero"`
	Next              string     `json:"next,omitzero"`
}

// MarshalJSON writes everything needed to settle the payment later, in another process too: see
// ResolveCashOut. It holds no secret and no personal data. ExternalReference is written as it is.
// Err is written as text, and of Refusal the gateway's words are left out, see
// [APIError.MarshalJSON].
func (e UnknownOutcomeError) MarshalJSON() ([]byte, error) {
	written := unknownOutcome{
		Operation:         e.Operation,
		IdempotencyKey:    e.IdempotencyKey,
		ExternalReference: e.ExternalReference,
		Amount:            e.Amount,
		BodySHA256:        e.BodySHA256,
		ClientID:          e.ClientID,
		BaseURL:           e.BaseURL,
		TransactionID:     e.TransactionID,
		FirstSentAt:       e.FirstSentAt.UTC(),
		LastSentAt:        e.LastSentAt.UTC(),
		Attempts:          e.Attempts,
		StatusCode:        e.StatusCode,
		RetryAfterSeconds: e.RetryAfter.Seconds(),
		Refusal:           e.Refusal,
		Next:              e.advice(),
	}
	if e.Err != nil {
		written.Cause = e.Err.Error()
	}
	return json.Marshal(written)
}

// UnmarshalJSON reads the output of MarshalJSON. Err keeps its text, and no longer its
// type.
func (e *UnknownOutcomeError) UnmarshalJSON(data []byte) error {
	var read unknownOutcome
	if err := json.Unmarshal(data, &read); err != nil {
		return err
	}
	*e = UnknownOutcomeError{
		Operation:         read.Operation,
		IdempotencyKey:    read.IdempotencyKey,
		ExternalReference: read.ExternalReference,
		Amount:            read.Amount,
		BodySHA256:        read.BodySHA256,
		ClientID:          read.ClientID,
		BaseURL:           read.BaseURL,
		TransactionID:     read.TransactionID,
		FirstSentAt:       read.FirstSentAt,
		LastSentAt:        read.LastSentAt,
		Attempts:          read.Attempts,
		StatusCode:        read.StatusCode,
		RetryAfter:        seconds(read.RetryAfterSeconds),
		Refusal:           read.Refusal,
		next:              read.Next,
	}
	if read.Cause != "" {
		e.Err = errors.New(read.Cause)
	}
	return nil
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
