package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/nathants/s4/cli/partition"
)

// partitionFlags are the flags of s4 partition, as given.
type partitionFlags struct {
	n, key                int
	delimiter, by, header string
}

func (a *app) partition() *cobra.Command {
	var f partitionFlags
	cmd := &cobra.Command{
		Use:   "partition -n N [FILE]",
		Short: "split standard input into files by a key field",
		Long: `Split the lines of standard input over N files in the working directory by a
key field, and print the names of those written, sorted: 000, 001 and so on,
with three digits or as many as N-1 has. It is the command of a map-to-n, and
asks no server. A file that gets no line is not written; one that exists is an
error.

Fields are what is between delimiters: quotes as in CSV mean nothing, and a
carriage return before the newline is part of the last field. The key of a line
with too few fields is empty. Bytes are copied as they are, but a last line
without a newline gets one.

--by says which file a line goes to:
  hash         xxh64 of the key, modulo N
  range FILE   the number of split points that are not above the key. FILE has
               at most N-1, one a line, in the order of LC_ALL=C sort; bytes
               are compared, not numbers
  round-robin  one after the other, from 000 on; the key means nothing

Lines may have any length: only the part up to the end of the key, and a header
to keep, is held in memory, and may have at most 64 MiB.`,
		Example: `  s4 partition -n 64 -d , -k 2 --header drop <data.csv
  s4 map-to-n s4://bucket/in/ s4://bucket/parts/ 's4 partition -n 64 -k 1'
  s4 partition -n 4 --by range split-points <data.tsv`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := f.partitioner(args)
			if err != nil {
				return err
			}
			if err := a.runPartition(cmd.Context(), p); err != nil {
				return failure{err}
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.IntVarP(&f.n, "number", "n", 0, "number of files at most, 1 to 1000000")
	fl.StringVarP(&f.delimiter, "delimiter", "d", `\t`, "one byte between fields")
	fl.IntVarP(&f.key, "key", "k", 1, "field that is the key, from 1 on; 0 is the whole line")
	fl.StringVar(&f.by, "by", "hash", "hash, range or round-robin")
	fl.StringVar(&f.header, "header", "", "first line: drop it, or keep it as the first of every file")
	return cmd
}

// partitioner returns the partitioner that the flags describe. Its errors are errors in
// usage.
func (f *partitionFlags) partitioner(args []string) (*partition.Partitioner, error) {
	c := partition.Config{N: f.n, Key: f.key}
	if f.n == 0 {
		return nil, usagef("say how many partitions, 1 to %d, with -n", partition.MaxN)
	}
	switch {
	case f.delimiter == `\t`:
		c.Delimiter = '\t'
	case len(f.delimiter) == 1:
		c.Delimiter = f.delimiter[0]
	default:
		return nil, usagef("delimiter %q is not one byte", f.delimiter)
	}
	switch f.header {
	case "":
	case "drop":
		c.Header = partition.HeaderDrop
	case "keep":
		c.Header = partition.HeaderKeep
	default:
		return nil, usagef("--header %q is neither drop nor keep", f.header)
	}
	switch f.by {
	case "hash":
	case "round-robin":
		c.By = partition.RoundRobin
	case "range":
		c.By = partition.Range
	default:
		return nil, usagef("--by %q is none of hash, range and round-robin", f.by)
	}
	switch {
	case c.By == partition.Range && len(args) == 0:
		return nil, usagef("--by range needs a FILE of split points")
	case c.By != partition.Range && len(args) > 0:
		return nil, usagef("%q: lines come from standard input, and a FILE goes with --by range only", args[0])
	case c.By == partition.Range:
		points, err := readPoints(args[0], f.n)
		if err != nil {
			return nil, usageError{err}
		}
		c.Points = points
	}
	p, err := partition.New(c)
	if err != nil {
		return nil, usageError{err}
	}
	return p, nil
}

func readPoints(file string, n int) ([][]byte, error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("split points: %w", err)
	}
	defer in.Close()
	points, err := partition.ReadPoints(in, n)
	if err != nil {
		return nil, fmt.Errorf("split points: %s: %w", file, err)
	}
	return points, nil
}

func (a *app) runPartition(ctx context.Context, p *partition.Partitioner) error {
	err := p.Run(ctx, a.stdin, ".")
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w (remove it, or run in an empty directory)", err)
	}
	if err != nil {
		return err
	}
	out := bufio.NewWriter(a.stdout)
	buffered := *a
	buffered.stdout = out
	for f := range p.Files() {
		if err := buffered.line(f.Name, partitionObject{f.Name, f.Lines, f.Bytes}); err != nil {
			return err
		}
	}
	return out.Flush()
}

// partitionObject is one file of a partition as --json prints it.
type partitionObject struct {
	File  string `json:"file"`
	Lines int64  `json:"lines"`
	Bytes int64  `json:"bytes"`
}
