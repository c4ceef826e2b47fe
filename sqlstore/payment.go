package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

// The table of payments has one row for each: its last attempt. Each process that takes an attempt
// raises its epoch, and names the epoch in what it writes after that.

// row is a row of that table.
type row struct {
	connectpsp.Intent
	epoch int64
	owner string
}

// isOf reports whether a row is open and was written by an owner as an epoch.
func (r *row) isOf(owner string, epoch int64) bool {
	return r.Outcome == "" && r.owner == owner && r.epoch == epoch
}

// sameAs reports whether a payment has the key and the bytes of another.
func (r *row) sameAs(other connectpsp.Intent) bool {
	return r.Payment() == other.Payment() && r.IdempotencyKey == other.IdempotencyKey && r.BodySHA256 == other.BodySHA256 &&
		r.ClientID == other.ClientID && r.BaseURL == other.BaseURL
}

const (
	selectRow = `SELECT key, operation, external_reference, charge_id, transaction_id, centavos, body_sha256, client_id, base_url,
	body, due_by, outcome, epoch, owner, NOW - begun_at, NOW - sent_at, NOW - ended_at, owner <> $1 AND leased_until > NOW
FROM connectpsp_payment `

	selectFound   = selectRow + `WHERE payment = $2 OR (key = $3 AND outcome <> 'REJECTED')`
	selectPending = selectRow + `WHERE outcome = '' ORDER BY begun_at, key`
	selectEnded   = selectRow + `WHERE outcome <> '' AND ended_at >
	(SELECT max(ended_at) FROM connectpsp_payment WHERE outcome <> '') - 3600000000 ORDER BY ended_at, key`

	// Not outcome = '', by which PostgreSQL may choose the index of what is open to find one
	// payment, and then reads all that are.
	isOpen = `outcome <> 'REJECTED' AND outcome <> 'ACCEPTED'`

	// An attempt takes the place of a rejected one, if that is the one that Begin saw.
	writeIntent = `INSERT INTO connectpsp_payment (payment, key, operation, external_reference, charge_id, transaction_id, centavos,
	body_sha256, client_id, base_url, due_by, body, begun_at, sent_at, owner, leased_until, epoch)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, NOW - $13, NOW - $14, $15, NOW + $16, $18)
ON CONFLICT (payment) DO UPDATE SET key = excluded.key, charge_id = excluded.charge_id, transaction_id = excluded.transaction_id,
	centavos = excluded.centavos, body_sha256 = excluded.body_sha256, client_id = excluded.client_id, base_url = excluded.base_url, due_by = excluded.due_by,
	body = excluded.body, begun_at = excluded.begun_at, sent_at = excluded.sent_at, ended_at = NULL, outcome = '', owner = excluded.owner,
	leased_until = excluded.leased_until, epoch = excluded.epoch
WHERE connectpsp_payment.epoch = $17 AND connectpsp_payment.outcome = 'REJECTED'`

	// The same for an attempt that ends without having been written, or that may be written later
	// by a statement that seemed to fail: that one finds another epoch then.
	writeEnd = `INSERT INTO connectpsp_payment (payment, key, operation, external_reference, charge_id, transaction_id, centavos,
	body_sha256, client_id, base_url, due_by, outcome, begun_at, sent_at, owner, leased_until, epoch, ended_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, NOW - $13, NOW - $14, $15, NOW + $16, $18, NOW)
ON CONFLICT (payment) DO UPDATE SET key = excluded.key, charge_id = excluded.charge_id, transaction_id = excluded.transaction_id,
	centavos = excluded.centavos, body_sha256 = excluded.body_sha256, client_id = excluded.client_id, base_url = excluded.base_url, due_by = excluded.due_by,
	body = NULL, begun_at = excluded.begun_at, sent_at = excluded.sent_at, ended_at = excluded.ended_at, outcome = excluded.outcome,
	owner = excluded.owner, leased_until = excluded.leased_until, epoch = excluded.epoch
WHERE connectpsp_payment.epoch = $17 AND connectpsp_payment.outcome = 'REJECTED'
	OR connectpsp_payment.epoch = $18 AND connectpsp_payment.outcome = '' AND connectpsp_payment.owner = $15`

	takeOver = `UPDATE connectpsp_payment SET owner = $3, leased_until = NOW + $4, epoch = $5
WHERE payment = $1 AND epoch = $2 AND ` + isOpen + ` AND (owner = $3 OR leased_until <= NOW)`

	renewLease = `UPDATE connectpsp_payment SET leased_until = NOW + $3 WHERE payment = $1 AND epoch = $2 AND ` + isOpen

	// The owner's lease goes on for a while, until its caller has been told.
	acceptOpen = `UPDATE connectpsp_payment SET outcome = 'ACCEPTED', body = NULL, ended_at = NOW,
	transaction_id = CASE WHEN $2 = '' THEN transaction_id ELSE $2 END,
	leased_until = CASE WHEN owner = $3 THEN NOW + $4 ELSE leased_until END
WHERE key = $1 AND ` + isOpen

	rejectLeased = `UPDATE connectpsp_payment SET outcome = 'REJECTED', body = NULL, ended_at = NOW, leased_until = NOW + $3
WHERE payment = $1 AND epoch = $2 AND ` + isOpen

	rejectFree = `UPDATE connectpsp_payment SET outcome = 'REJECTED', body = NULL, ended_at = NOW
WHERE key = $1 AND ` + isOpen + ` AND (owner = $2 OR leased_until <= NOW)`
)

// identity returns the first parameters of writeIntent and writeEnd.
func (j *Journal) identity(i connectpsp.Intent) []any {
	var due any // never
	if !i.DueBy.IsZero() {
		due = i.DueBy.UnixMicro()
	}
	return []any{i.Payment(), i.IdempotencyKey, i.Operation, i.ExternalReference, i.ChargeID, i.TransactionID, i.Amount.Centavos(),
		i.BodySHA256, i.ClientID, i.BaseURL, due}
}

// ago is how many microseconds ago a time of the local clock is. The database subtracts them from
// its own.
func ago(t time.Time) int64 { return -fromNow(t) }

// find returns the row of the same payment that is open or accepted, else of the same key, else the
// rejected one of the same payment, else nil.
func (j *Journal) find(ctx context.Context, intent connectpsp.Intent) (*row, error) {
	payment := intent.Payment()
	rows, err := j.rows(ctx, selectFound, payment, intent.IdempotencyKey)
	var rejected *row
	for n := range rows {
		switch {
		case rows[n].Outcome == connectpsp.OutcomeRejected:
			rejected = &rows[n]
		case rows[n].Payment() == payment:
			return &rows[n], err
		}
	}
	for n := range rows {
		if &rows[n] != rejected {
			return &rows[n], err
		}
	}
	return rejected, err
}

func (j *Journal) list(ctx context.Context, query string) ([]connectpsp.Intent, error) {
	rows, err := j.rows(ctx, query)
	var intents []connectpsp.Intent
	for _, row := range rows {
		intents = append(intents, row.Intent)
	}
	return intents, err
}

// rows runs one of the queries that begin with selectRow. Its further parameters follow the owner.
func (j *Journal) rows(ctx context.Context, query string, arguments ...any) (found []row, err error) {
	s := j.store
	rows, err := s.db.QueryContext(ctx, s.text(query), append([]any{s.owner}, arguments...)...)
	if err != nil {
		return nil, wrap(err)
	}
	defer func() { err = errors.Join(err, wrap(rows.Close())) }()
	now := time.Now().Round(0).UTC()
	for rows.Next() {
		var r row
		if err := r.scan(rows, now); err != nil {
			return nil, wrap(err)
		}
		found = append(found, r)
	}
	return found, wrap(rows.Err())
}

// scan reads a row. The database tells how long ago its times are, so that its clock need not agree
// with the local one. Only the due time is the caller's, and stays as it was given.
func (r *row) scan(rows *sql.Rows, now time.Time) error {
	var outcome string
	var centavos int64
	var due, begun, sent, ended sql.NullInt64
	err := rows.Scan(&r.IdempotencyKey, &r.Operation, &r.ExternalReference, &r.ChargeID, &r.TransactionID, &centavos,
		&r.BodySHA256, &r.ClientID, &r.BaseURL, &r.Body, &due, &outcome, &r.epoch, &r.owner, &begun, &sent, &ended, &r.Leased)
	r.Outcome, r.Amount = connectpsp.Outcome(outcome), pix.Centavos(centavos)
	r.BegunAt, r.SentAt, r.EndedAt = localTime(begun, now), localTime(sent, now), localTime(ended, now)
	if due.Valid {
		r.DueBy = time.UnixMicro(due.Int64).UTC()
	}
	return err
}

// localTime returns the time, by the local clock, of what was so many microseconds ago by the
// database's clock, zero if it was never.
func localTime(ago sql.NullInt64, now time.Time) time.Time {
	if !ago.Valid {
		return time.Time{}
	}
	return now.Round(0).UTC().Add(-time.Duration(ago.Int64) * time.Microsecond)
}
