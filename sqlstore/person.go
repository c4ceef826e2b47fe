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
	"regexp"
	"strings"
	"unicode"

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
// payee, as a PIX key, in a BR code, in a text or in JSON within a string. The document may have
// spaces, dashes, points and slashes at the places of its usual punctuation, or none, and may be
// masked as far as [pix.SameHolder] takes it for the same. The whole body goes, and with it the
// data of the other person of the payment, or of one with the same visible digits.
//
// The same digits within a longer number or an id are not the document: no letter and no digit may
// touch it, except those of the words CPF and CNPJ. Not found either is a document that is split in
// other places, lacks its leading zeros, or is encoded, such as in base64. A body with a name or an
// account of the person and without the document is not found: [Inbox.Forget] erases it by its age.
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
	wanted := newPerson(parsed)
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

// person is somebody whose document is to be found in bodies.
type person struct {
	document string         // bare
	digits   *regexp.Regexp // finds its characters: quickly, for most bodies do not have them
	complete *regexp.Regexp // finds the document itself, unless it is masked
}

func newPerson(document pix.Document) person {
	bare := document.Text()
	groups := []string{bare[:3], bare[3:6], bare[6:9], bare[9:]}
	if document.Kind() == pix.DocumentCNPJ {
		groups = []string{bare[:2], bare[2:5], bare[5:8], bare[8:12], bare[12:]}
	}
	const between = `[\s\pZ\p{Pd}./]*` // Pd are dashes of all kinds
	// Ids are long enough to have the digits of somebody's document in them. In a BR code, the
	// name of the scheme and the length stand in front of a key, and the next field follows.
	const before, after, brCode = `(?:^|[^\pL\pN]|CPF|CNPJ)`, `(?:$|[^\pL\pN])`, `br\.gov\.bcb\.pix01(?:11|14)`
	digits := strings.Join(groups, between)
	return person{bare, regexp.MustCompile(`(?i)` + digits), regexp.MustCompile(`(?i)` + before + digits + after + `|` + brCode + bare)}
}

// isIn reports whether a body has the document.
func (p person) isIn(body []byte) bool { return p.isInText(unpacked(body)) }

func (p person) isInText(text []byte) bool {
	if p.digits.Match(text) && p.complete.Match(text) || p.isMasked(string(text)) {
		return true
	}
	if !bytes.ContainsRune(text, '\\') {
		return false
	}
	// A string of JSON may have escapes in it, and be JSON itself. Text that is no JSON was
	// searched as it is.
	for tokens := json.NewDecoder(bytes.NewReader(text)); ; {
		token, err := tokens.Token()
		if err != nil {
			return false
		}
		if text, ok := token.(string); ok && p.isInText([]byte(text)) {
			return true
		}
	}
}

// shortestDocument is a masked CPF without its hidden ends, longestDocument a masked CNPJ with
// bullets, in bytes.
const shortestDocument, longestDocument = len(".456.789-"), 14*len("•") + len("../-")

// isMasked reports whether a text has the document with some of its characters hidden.
func (p person) isMasked(text string) bool {
	for word := range strings.FieldsFuncSeq(text, endsWord) {
		word = strings.TrimRight(word, ".") // of a sentence
		if len(word) >= shortestDocument && len(word) <= longestDocument && pix.SameHolder(p.document, word) == pix.HolderSame {
			return true
		}
	}
	return false
}

// endsWord reports whether a character is neither in a document, masked or not, nor in an id.
func endsWord(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(".-/*•", r)
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
