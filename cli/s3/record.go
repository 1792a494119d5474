package s3

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// record says what one task of an import fetches. It is the task's standard input: one
// line of JSON.
type record struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
	ETag   string `json:"etag,omitempty"` // as listed, with its quotes: the object must still have it
	Size   int64  `json:"size"`

	// From and To say which lines are meant: those that begin at these offsets, To not
	// among them. To is 0 for all of the object.
	From int64 `json:"from,omitempty"`
	To   int64 `json:"to,omitempty"`

	// Unpack is how the object is compressed, a key of unpackers, and "" to take it as it is.
	Unpack string `json:"unpack,omitempty"`
}

// name is the object's as people write it.
func (r *record) name() string { return scheme + r.Bucket + "/" + r.Key }

// encode returns the record as a task reads it.
func (r *record) encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(r)
	return b.Bytes(), err
}

// maxRecord bounds what a task reads of its standard input: names have at most 1024
// bytes, which JSON writes as six each at most.
const maxRecord = 64 << 10

// decodeRecord is the reverse of encode.
func decodeRecord(data []byte) (*record, error) {
	r := new(record)
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields() // it would be one of a newer s4-s3, and mean something
	if err := dec.Decode(r); err != nil {
		return nil, fmt.Errorf("malformed record: %w", err)
	}
	return r, r.check()
}

func (r *record) check() error {
	switch {
	case r.Bucket == "" || strings.Contains(r.Bucket, "/") || r.Key == "":
		return errors.New("malformed record: it has no bucket and key")
	case r.Size < 0 || r.From < 0 || r.To < 0 || r.To > r.Size || r.To > 0 && r.From >= r.To || r.To == 0 && r.From > 0:
		return fmt.Errorf("malformed record: no range %d to %d of %d bytes", r.From, r.To, r.Size)
	case r.Unpack != "" && r.To > 0:
		return errors.New("malformed record: a range of a compressed object")
	case r.Unpack != "" && unpackers[r.Unpack] == nil:
		return fmt.Errorf("malformed record: %q is no compression", r.Unpack)
	}
	return nil
}
