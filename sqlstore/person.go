package sqlstore

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/connectpsp/connectpsp-go/pix"
)

// Forgotten is the result of [Store.ForgetPerson].
type Forgotten struct {
	// Erased counts the bodies of events that were erased.
	Erased int64
	// Kept counts the bodies with data of the person that are still needed: the requests of open
	// payments, and the events that are not done or are held.
	Kept int64
}

// ForgetPerson erases the bodies of events that have the document of a person: a CPF or a CNPJ, as
// [pix.ParseDocument] reads it. It finds the document wherever it is in a body: of the payer or the
// payee, as a PIX key or in a text, with or without punctuation, and masked as far as
// [pix.SameHolder] takes it for the same. The whole body goes, and with it the data of the other
// person of the payment, or of one with the same visible digits. A body with a name or an account of
// the person and without the document is not found: [Inbox.Forget] erases it by its age.
//
// Two kinds of bodies stay for now, and Kept counts them: requests of open payments, which
// [connectpsp.Client.Recover] may have to send again, and events that are not done or are held.
// Call ForgetPerson again until Kept is zero: once the payments are settled, which erases their
// requests, the events are done, and those that are held were dismissed or forgotten, see
// [Inbox.Dismiss] and [Inbox.ForgetHeld]. An event that comes later, such as that of a return, has
// the data again.
//
// Everything else stays: keys, digests, statuses, amounts, references and end-to-end ids. So events
// are still deduplicated, and [connectpsp.Client.Recover] works. Section Retention of the package
// says for how long to keep them, and where else the data may be.
//
// ForgetPerson reads all bodies, in batches, and erases one at a time, so it holds up neither
// workers nor payments. The error wraps [pix.ErrInvalidDocument] if the document is not a complete
// one, and nothing was erased then. Any other error is the database's: the counts are those up to
// it, and the call can be repeated. No error has the document.
func (s *Store) ForgetPerson(ctx context.Context, document string) (forgotten Forgotten, err error) {
	parsed, err := pix.ParseDocument(document)
	if err != nil {
		return forgotten, fmt.Errorf("sqlstore: ForgetPerson needs a complete CPF or CNPJ, and has erased nothing: %w", err)
	}
	wanted := person{parsed.Text()}
	// Payments come first: an event of one that is open now may be stored after the events were
	// read.
	if forgotten.Kept, err = s.countOpenOf(ctx, wanted); err != nil {
		return forgotten, err
	}
	err = s.eachBody(ctx, func(event storedEvent) error {
		switch {
		case !wanted.isIn(event.body):
			return nil
		case event.queued:
			forgotten.Kept++
			return nil
		}
		// An event that is done is never queued again.
		erased, err := s.change(ctx, `UPDATE connectpsp_event SET body = NULL WHERE id = $1 AND body IS NOT NULL`, event.id)
		forgotten.Erased += erased
		return err
	})
	return forgotten, err
}

// countOpenOf counts the open payments whose request has the document of a person.
func (s *Store) countOpenOf(ctx context.Context, wanted person) (count int64, err error) {
	err = s.atOnce(ctx, func(db querier) (err error) {
		rows, err := db.QueryContext(ctx, s.text(`SELECT body FROM connectpsp_payment WHERE outcome = '' AND body IS NOT NULL`))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			var body []byte
			if err := rows.Scan(&body); err != nil {
				return err
			}
			if wanted.isIn(body) {
				count++
			}
		}
		return rows.Err()
	})
	return count, wrap(err)
}

// storedEvent is an event that has a body.
type storedEvent struct {
	id, receivedAt int64
	body           []byte
	queued         bool // it is not done, or is held
}

// readAtOnce is how many bodies are in memory at a time. A body has 64 KiB at most.
const readAtOnce = 100

const storedEvents = `SELECT id, received_at, body, EXISTS (SELECT 1 FROM connectpsp_queue queue WHERE queue.id = event.id)
	FROM connectpsp_event event WHERE body IS NOT NULL AND (received_at, id) > ($1, $2) ORDER BY received_at, id LIMIT $3`

// eachBody calls do with each event that has a body, outside of a transaction, until an error.
func (s *Store) eachBody(ctx context.Context, do func(storedEvent) error) error {
	last := storedEvent{receivedAt: math.MinInt64}
	for {
		events, err := s.bodiesAfter(ctx, last)
		if err != nil {
			return err
		}
		for _, event := range events {
			if err := do(event); err != nil {
				return err
			}
		}
		if len(events) < readAtOnce {
			return nil
		}
		last = events[len(events)-1]
	}
}

func (s *Store) bodiesAfter(ctx context.Context, last storedEvent) (events []storedEvent, err error) {
	err = s.atOnce(ctx, func(db querier) (err error) {
		rows, err := db.QueryContext(ctx, s.text(storedEvents), last.receivedAt, last.id, readAtOnce)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			var event storedEvent
			if err := rows.Scan(&event.id, &event.receivedAt, &event.body, &event.queued); err != nil {
				return err
			}
			events = append(events, event)
		}
		return rows.Err()
	})
	return events, wrap(err)
}

// person is the bare document of a person, to be found in bodies.
type person struct{ document string }

// isIn reports whether a body has the document.
func (p person) isIn(body []byte) bool {
	text := unpacked(body)
	if p.isNamed(string(text)) {
		return true
	}
	if !bytes.ContainsRune(text, '\\') {
		return false
	}
	// A string of JSON may have escapes in it. Text that is no JSON was searched as it is.
	for tokens := json.NewDecoder(bytes.NewReader(text)); ; {
		token, err := tokens.Token()
		if err != nil {
			return false
		}
		if text, ok := token.(string); ok && p.isNamed(text) {
			return true
		}
	}
}

// punctuation is what may be between the characters of a document.
var punctuation = strings.NewReplacer(".", "", "-", "", "/", "", " ", "")

// shortestDocument is a masked CPF without its hidden ends, longestDocument a masked CNPJ with
// bullets, in bytes.
const shortestDocument, longestDocument = len(".456.789-"), 14*len("•") + len("../-")

// isNamed reports whether a text has the document, complete or masked.
func (p person) isNamed(text string) bool {
	if strings.Contains(punctuation.Replace(strings.ToUpper(text)), p.document) {
		return true
	}
	for word := range strings.FieldsFuncSeq(text, endsDocument) {
		if len(word) >= shortestDocument && len(word) <= longestDocument && pix.SameHolder(p.document, word) == pix.HolderSame {
			return true
		}
	}
	return false
}

// endsDocument reports whether a character is in no document, masked or not.
func endsDocument(r rune) bool {
	return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && !strings.ContainsRune(".-/*•x", r)
}

// maxUnpacked bounds the text of a compressed body.
const maxUnpacked = 1 << 20

// unpacked returns the text of a body, as much as can be read of one that is compressed.
func unpacked(body []byte) []byte {
	reader, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return body
	}
	text, _ := io.ReadAll(io.LimitReader(reader, maxUnpacked))
	return text
}
