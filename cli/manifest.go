package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/nathants/s4"
	"github.com/nathants/s4/wire"
)

// maxManifestLine is how long a line of a manifest may be: a name, a tab, and a record
// with its newline.
const maxManifestLine = wire.MaxKey + 1 + wire.MaxRecord

// readManifest reads the tasks in a file, - for standard input: a line for each, with its
// name, a tab, and its record, which gets the newline, too. Empty lines are left out.
func (a *app) readManifest(ctx context.Context, name string) ([]s4.ManifestTask, error) {
	in := a.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("--manifest: %w", err)
		}
		defer f.Close()
		in = f
	} else if closedAtStart(a.stdin) {
		return nil, errNoStdin
	}
	tasks := []s4.ManifestTask{} // not nil, which is no manifest
	r := bufio.NewReaderSize(&leaving{ctx, in}, maxManifestLine+1)
	for n := 1; ; n++ {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) || len(line) > maxManifestLine {
			return nil, fmt.Errorf("--manifest %s: line %d is longer than %d bytes", name, n, maxManifestLine)
		}
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("--manifest %s: %w", name, err)
		}
		if text := bytes.TrimSuffix(line, []byte("\n")); len(text) > 0 {
			tasks = append(tasks, manifestTask(text))
		}
		if err == io.EOF {
			return tasks, nil
		}
	}
}

// manifestTask returns the task of a line.
func manifestTask(line []byte) s4.ManifestTask {
	name, record, ok := bytes.Cut(line, []byte{'\t'})
	t := s4.ManifestTask{Name: string(name)}
	if ok {
		t.Record = append(bytes.Clone(record), '\n')
	}
	t.Size = int64(len(t.Record))
	return t
}
