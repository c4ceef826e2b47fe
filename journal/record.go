package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
)

const (
	formatName    = "connectpsp payments"
	formatVersion = 1
	// longestRecord bounds what is read of a file for one record. A request is a thousandth of it.
	longestRecord = 1 << 20
)

// record is one line of the file. Exactly one of its fields is set.
type record struct {
	Header   *header   `json:"header,omitzero"`
	Intent   *intent   `json:"intent,omitzero"`
	Sent     *sent     `json:"sent,omitzero"`
	Finished *finished `json:"finished,omitzero"`
}

// header is the first record.
type header struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
}

// intent is a connectpsp.Intent. Where the file is written anew it holds what later records said, too.
type intent struct {
	Operation         string             `json:"operation"`
	Key               string             `json:"key"`
	ExternalReference string             `json:"externalReference,omitzero"`
	TransactionID     string             `json:"transactionId,omitzero"`
	Amount            pix.Amount         `json:"amount,omitzero"`
	Body              []byte             `json:"body,omitzero"`
	BodySHA256        string             `json:"bodySha256,omitzero"`
	ClientID          string             `json:"clientId"`
	BaseURL           string             `json:"baseUrl"`
	BegunAt           time.Time          `json:"begunAt"`
	SentAt            time.Time          `json:"sentAt,omitzero"`
	Outcome           connectpsp.Outcome `json:"outcome,omitzero"`
	EndedAt           time.Time          `json:"endedAt,omitzero"`
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

var firstRecord = record{Header: &header{Format: formatName, Version: formatVersion}}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// line writes a record as it stands in the file.
func (r record) line() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if len(text) > longestRecord-16 {
		return nil, fmt.Errorf("a record of %d bytes is too long", len(text))
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(text, castagnoli), text), nil
}

// parse reads a line without its end.
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

func intentOf(i connectpsp.Intent, endedAt time.Time) *intent {
	return &intent{
		i.Operation, i.IdempotencyKey, i.ExternalReference, i.TransactionID, i.Amount, i.Body, i.BodySHA256, i.ClientID, i.BaseURL,
		i.BegunAt.UTC(), i.SentAt.UTC(), i.Outcome, endedAt.UTC(),
	}
}

func (i *intent) public() connectpsp.Intent {
	return connectpsp.Intent{
		Operation: i.Operation, IdempotencyKey: i.Key, ExternalReference: i.ExternalReference, TransactionID: i.TransactionID,
		Amount: i.Amount, Body: i.Body, BodySHA256: i.BodySHA256, ClientID: i.ClientID, BaseURL: i.BaseURL, BegunAt: i.BegunAt, SentAt: i.SentAt, Outcome: i.Outcome,
	}
}
