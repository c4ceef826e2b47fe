package journal

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

const (
	formatName = "connectpsp payments"
	// formatVersion is the version of a new file. Version 1 had no Pending, Ended and Durable: Open
	// reads it and compacts it into a file of this version.
	formatVersion = 2
	// maxRecord bounds one record when a file is read. A request has a thousandth of this.
	maxRecord = 1 << 20
	// maxBody bounds a request, so that every intent fits in a record, compressed or not.
	maxBody = 256 << 10
	// packSize is how many bytes of JSON are compressed together.
	packSize = 64 << 10
)

// record is one line of the file. Exactly one of its fields is set.
type record struct {
	Header   *header   `json:"header,omitzero"`
	Intent   *intent   `json:"intent,omitzero"`
	Sent     *sent     `json:"sent,omitzero"`
	Finished *finished `json:"finished,omitzero"`
	// A compaction writes Pending and Ended: the intents as lines of JSON, compressed with gzip.
	Pending []byte   `json:"pending,omitzero"`
	Ended   []byte   `json:"ended,omitzero"`
	Durable *durable `json:"durable,omitzero"`
}

// header is the content of the first record.
type header struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
}

// intent is a pending connectpsp.Intent, in the file and in memory. In a compacted file it includes
// the content of later records. In a file of version 1 it may have been accepted.
type intent struct {
	Operation         string             `json:"operation"`
	Key               string             `json:"key"`
	ExternalReference string             `json:"externalReference,omitzero"`
	ChargeID          string             `json:"chargeId,omitzero"`
	TransactionID     string             `json:"transactionId,omitzero"`
	Amount            pix.Amount         `json:"amount,omitzero"`
	Body              []byte             `json:"body,omitzero"`
	BodySHA256        string             `json:"bodySha256,omitzero"`
	ClientID          string             `json:"clientId"`
	BaseURL           string             `json:"baseUrl"`
	BegunAt           time.Time          `json:"begunAt,omitzero"`
	SentAt            time.Time          `json:"sentAt,omitzero"`
	Outcome           connectpsp.Outcome `json:"outcome,omitzero"`
	EndedAt           time.Time          `json:"endedAt,omitzero"`
	DueBy             time.Time          `json:"dueBy,omitzero"`
}

// ended is a connectpsp.Intent with an outcome, in the file and in memory. There are many, so the
// names are short. Times are in milliseconds since 1970, and 0 if they are not known.
type ended struct {
	Operation         string     `json:"op"`
	Key               string     `json:"key"`
	ExternalReference string     `json:"ref,omitzero"`
	ChargeID          string     `json:"charge,omitzero"`
	TransactionID     string     `json:"tx,omitzero"`
	Amount            pix.Amount `json:"amount,omitzero"`
	BodySHA256        string     `json:"sum,omitzero"`
	ClientID          string     `json:"client"`
	BaseURL           string     `json:"url"`
	BegunAt           int64      `json:"begun,omitzero"`
	SentAt            int64      `json:"sent,omitzero"`
	EndedAt           int64      `json:"at,omitzero"`
	DueBy             int64      `json:"due,omitzero"`
	Rejected          bool       `json:"rejected,omitzero"`
}

// durable marks that the file was durable up to Before bytes before this record, when the record
// was written. A distance stays right when a compaction copies the record.
type durable struct {
	Before int64 `json:"before"`
}

type sent struct {
	Key string    `json:"key"`
	At  time.Time `json:"at"`
}

type finished struct {
	Key           string             `json:"key"`
	Outcome       connectpsp.Outcome `json:"outcome"`
	TransactionID string             `json:"transactionId,omitzero"`
	At            time.Time          `json:"at"`
}

// firstRecord returns the header of a file of a version.
func firstRecord(version int) record {
	return record{Header: &header{Format: formatName, Version: version}}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// line returns a record as a line of the file.
func (r record) line() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if len(text) > maxRecord-16 {
		return nil, fmt.Errorf("a record of %d bytes is too long", len(text))
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(text, castagnoli), text), nil
}

// parse decodes a line without its line break.
func parse(line []byte) (record, error) {
	var r record
	sum, text, found := bytes.Cut(line, []byte(" "))
	if !found || fmt.Sprintf("%08x", crc32.Checksum(text, castagnoli)) != string(sum) {
		return r, errors.New("its checksum is wrong")
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, errors.New("it is not the JSON of a record")
	}
	return r, nil
}

// pack compresses lines of JSON. A higher level would save 5 % of the size and take twice as long.
func pack(lines []byte) ([]byte, error) {
	var packed bytes.Buffer
	compressor, err := gzip.NewWriterLevel(&packed, 3)
	if err != nil {
		return nil, err
	}
	_, err = compressor.Write(lines)
	err = errors.Join(err, compressor.Close())
	return packed.Bytes(), err
}

// unpack decompresses lines of JSON, and calls each with every line.
func unpack[T any](packed []byte, each func(*T) error) error {
	compressed, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return errors.New("it cannot be decompressed")
	}
	lines := json.NewDecoder(io.LimitReader(compressed, maxRecord))
	for {
		one := new(T)
		err := lines.Decode(one)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return errors.New("it has a line that is no intent")
		}
		if err := each(one); err != nil {
			return err
		}
	}
}

// intentOf returns a new intent. It leaves the outcome out: the journal itself records that.
func intentOf(i connectpsp.Intent) *intent {
	return &intent{
		Operation:         i.Operation,
		Key:               i.IdempotencyKey,
		ExternalReference: i.ExternalReference,
		ChargeID:          i.ChargeID,
		TransactionID:     i.TransactionID,
		Amount:            i.Amount,
		Body:              bytes.Clone(i.Body), // a compaction reads it after the caller may change it
		BodySHA256:        i.BodySHA256,
		ClientID:          i.ClientID,
		BaseURL:           i.BaseURL,
		BegunAt:           i.BegunAt.UTC(),
		SentAt:            i.SentAt.UTC(),
		DueBy:             i.DueBy.UTC(),
	}
}

// public returns a copy that the caller may change.
func (i *intent) public() connectpsp.Intent {
	return connectpsp.Intent{
		Operation:         i.Operation,
		IdempotencyKey:    i.Key,
		ExternalReference: i.ExternalReference,
		ChargeID:          i.ChargeID,
		TransactionID:     i.TransactionID,
		Amount:            i.Amount,
		Body:              bytes.Clone(i.Body),
		BodySHA256:        i.BodySHA256,
		ClientID:          i.ClientID,
		BaseURL:           i.BaseURL,
		BegunAt:           i.BegunAt,
		SentAt:            i.SentAt,
		DueBy:             i.DueBy,
	}
}

// endedOf returns the part of an intent that is remembered after its end. It clones the id of the
// transaction, which may be a substring of a whole response.
func endedOf(
	i *intent, outcome connectpsp.Outcome, transactionID string, at time.Time,
) *ended {
	return &ended{
		Operation:         i.Operation,
		Key:               i.Key,
		ExternalReference: i.ExternalReference,
		ChargeID:          i.ChargeID,
		TransactionID:     cmp.Or(strings.Clone(transactionID), i.TransactionID),
		Amount:            i.Amount,
		BodySHA256:        i.BodySHA256,
		ClientID:          i.ClientID,
		BaseURL:           i.BaseURL,
		BegunAt:           milliseconds(i.BegunAt),
		SentAt:            milliseconds(i.SentAt),
		EndedAt:           milliseconds(at),
		DueBy:             milliseconds(i.DueBy),
		Rejected:          outcome == connectpsp.OutcomeRejected,
	}
}

func (e *ended) outcome() connectpsp.Outcome {
	if e.Rejected {
		return connectpsp.OutcomeRejected
	}
	return connectpsp.OutcomeAccepted
}

func (e *ended) public() connectpsp.Intent {
	return connectpsp.Intent{
		Operation:         e.Operation,
		IdempotencyKey:    e.Key,
		ExternalReference: e.ExternalReference,
		ChargeID:          e.ChargeID,
		TransactionID:     e.TransactionID,
		Amount:            e.Amount,
		BodySHA256:        e.BodySHA256,
		ClientID:          e.ClientID,
		BaseURL:           e.BaseURL,
		BegunAt:           timeOf(e.BegunAt),
		SentAt:            timeOf(e.SentAt),
		EndedAt:           timeOf(e.EndedAt),
		DueBy:             timeOf(e.DueBy),
		Outcome:           e.outcome(),
	}
}

func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func timeOf(milliseconds int64) time.Time {
	if milliseconds == 0 {
		return time.Time{}
	}
	return time.UnixMilli(milliseconds).UTC()
}
