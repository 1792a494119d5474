package node

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/wire"
)

// recordsFile, in a job's directory, has the records of its manifest, one after the other.
const recordsFile = "records"

// record says where the record of a task is in such a file.
type record struct {
	off int64
	sum uint64 // xxh64
	n   uint32 // bytes
}

// read reads the record. If it is damaged, the error has the code checksum, as that of
// any other input.
func (r record) read(f io.ReaderAt) ([]byte, error) {
	b := make([]byte, r.n)
	if n, err := f.ReadAt(b, r.off); err != nil && (n < len(b) || !errors.Is(err, io.EOF)) {
		return nil, wire.Errorf(wire.CodeChecksum, "the task's record is damaged: reading it fails with %v", err)
	}
	if got := xxhash.Sum64(b); got != r.sum {
		return nil, wire.Errorf(wire.CodeChecksum, "the task's record is damaged: its bytes have xxh64 %016x, expected %016x", got, r.sum)
	}
	return b, nil
}

// String is the record as a line of inputs has it.
func (r record) String() string { return fmt.Sprintf("%d %d %016x", r.off, r.n, r.sum) }

// parseRecord is the reverse.
func parseRecord(text string) (r record, err error) {
	if n, serr := fmt.Sscanf(text, "%d %d %x", &r.off, &r.n, &r.sum); n != 3 || r.String() != text || r.off < 0 || r.n > wire.MaxRecord {
		return r, fmt.Errorf("%q says of no record where it is (%w)", text, errors.Join(serr, wire.CodeInternal))
	}
	return r, nil
}

// recordFile is a file that records are written to and read from.
type recordFile interface {
	io.Writer
	io.ReaderAt
	io.Closer
}

// recordWriter writes records to a file, which it owns.
type recordWriter struct {
	f   recordFile
	w   *bufio.Writer
	off int64
}

func newRecordWriter(f recordFile) *recordWriter {
	return &recordWriter{f: f, w: bufio.NewWriterSize(f, 64<<10)}
}

func (w *recordWriter) add(text string) (record, error) {
	r := record{off: w.off, sum: xxhash.Sum64String(text), n: uint32(len(text))}
	n, err := w.w.WriteString(text)
	w.off += int64(n)
	return r, err
}

func (w *recordWriter) flush() error { return w.w.Flush() }

// close ends the file. What was not flushed is lost if it returns an error.
func (w *recordWriter) close() error { return errors.Join(w.flush(), w.f.Close()) }
