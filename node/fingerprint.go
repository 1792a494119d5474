package node

import (
	"encoding/binary"
	"errors"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"
)

// fingerprint gathers what tells whether the inputs of a task have changed: see
// wire.Task.Inputs.
type fingerprint struct{ xxhash.Digest }

// inputGone is the size of an input that was removed before its task ran.
const inputGone = -1

func (p *fingerprint) add(key string, f inputFile) {
	_, _ = p.WriteString(key)
	b := make([]byte, 0, 32)
	b = binary.BigEndian.AppendUint64(append(b, '\n'), uint64(f.size))
	b = binary.BigEndian.AppendUint64(b, uint64(f.mtime))
	_, _ = p.Write(binary.BigEndian.AppendUint64(b, f.sum))
}

// fingerprint returns what Task.Inputs of task i would be if it ran now. It looks at the
// inputs and does not read them. An input that does not exist counts as gone.
func (j *job) fingerprint(i int) (uint64, error) {
	if j.tasks.records != nil {
		return j.recordPrint(i), nil
	}
	var found fingerprint
	found.Reset()
	keys, _ := j.inputs(i)
	for _, key := range keys {
		fd, f, err := j.node.store.lookAt(key)
		switch {
		case err == nil:
			unix.Close(fd)
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
			f = inputFile{size: inputGone}
		case err != nil:
			return 0, j.node.store.openKeyError(err, key)
		}
		found.add(key, f)
	}
	return found.Sum64(), nil
}
