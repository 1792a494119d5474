package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// lz4Data is a sort of data.
type lz4Data struct {
	name    string // for people
	word    string // for programs
	shrinks bool
	// write writes a file of about size bytes. Those of different numbers differ.
	write func(w io.Writer, file int, size int64) error
	// command returns what makes lz4Buckets of a file on standard input; s4 is one
	// word of a shell, the program.
	command func(s4 string) string
}

var lz4CSV = lz4Data{
	name: "CSV", word: "csv", shrinks: true,
	write: func(w io.Writer, file int, size int64) error { return newTrips(file).write(w, size) },
	// By the time of the pickup, of which there are very many.
	command: func(s4 string) string { return fmt.Sprintf("%s partition -n %d -d, -k2", s4, lz4Buckets) },
}

var lz4Random = lz4Data{
	name: "random bytes", word: "random",
	write: func(w io.Writer, file int, size int64) error {
		_, err := io.CopyN(w, rand.NewChaCha8([32]byte{'l', 'z', '4', byte(file)}), size)
		return err
	},
	command: func(string) string {
		return fmt.Sprintf("split -n %d -d -a 3 - '' && seq -f %%03.0f 0 %d", lz4Buckets, lz4Buckets-1)
	},
}

// tree returns the files that are moved: one, or the inputs of a shuffle. They are
// placed by number, so that all servers have the same share.
func (l *lz4Case) tree(ctx context.Context, e *Env) (*Tree, error) {
	files := 1
	if l.op == "shuffle" {
		files = lz4Inputs
	}
	dir := filepath.Join(e.Dir, "lz4-"+l.data.word)
	return e.makeTree(dir, func(t *Tree) error {
		for i := range files {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			name := l.input(i)
			sum, err := l.makeFile(filepath.Join(dir, name), i, l.size/int64(files))
			if err != nil {
				return err
			}
			t.add(name, sum)
		}
		return nil
	})
}

// input returns the name of a file of the tree.
func (l *lz4Case) input(i int) string { return fmt.Sprintf("%03d_%s", i, l.data.word) }

func (l *lz4Case) makeFile(path string, i int, size int64) (Sum, error) {
	f, err := os.Create(path)
	if err != nil {
		return Sum{}, err
	}
	if err := errors.Join(l.data.write(f, i, size), f.Close()); err != nil {
		return Sum{}, err
	}
	return sumFile(path, nil)
}
