package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nathants/s4/cli/partition"
)

// partitionFlags are the flags of s4 partition, as given.
type partitionFlags struct {
	n, sampleSize                           int
	key, delimiter, by, header, missing     string
	csv, null, sample, delimited, sizeGiven bool
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

Records are lines. With --null, NUL bytes end them, and with --csv they are those
of RFC 4180, as Go's encoding/csv reads them: a quoted field may have delimiters
and line ends in it, a line end may be \r\n, and empty lines are none. Records
are written as they are, quotes and all, but a last one that nothing ends gets
its newline or NUL.

-k says which fields are the key: numbers from 1 on, or names of columns, which
are looked up in the first record and need --header. Several, as in -k 3,1, are
joined by the delimiter in the order given. 0 is the whole record. Fields are
what is between delimiters. Without --csv, quotes mean nothing, and a carriage
return before the newline is part of the last field; with it, keys are compared
without their quotes. A record without one of the fields is an error, unless
--missing empty.

--by says which file a record goes to:
  hash         xxh64 of the key, modulo N
  range FILE   the number of split points that are not above the key. FILE has
               at most N-1, one a line, or NUL after each with --null, in the
               order of LC_ALL=C sort; bytes are compared, not numbers
  round-robin  one after the other, from 000 on; the key means nothing

--sample writes no files, but such a FILE to standard output: N-1 split points
that make the files alike in records, found from --sample-size keys, which are
taken at random, and the same for the same input. They take no more than 64 MiB:
where they are long, it is fewer.

Records may have any length: only the part up to the end of the key, and a header
that is kept, is looked up in, or is CSV, are held in memory, and may have at most
64 MiB. A byte order mark is left out with --csv or names of columns.`,
		Example: `  s4 partition -n 64 -d , -k 2 --header drop <data.csv
  s4 partition -n 64 --csv -k user_id,day --header keep <data.csv
  s4 map-to-n s4://bucket/in/ s4://bucket/parts/ 's4 partition -n 64 -k 1'
  s4 partition -n 4 --sample <data.tsv >split-points
  s4 partition -n 4 --by range split-points <data.tsv`,
		Args: wantArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.delimited = cmd.Flags().Changed("delimiter")
			f.sizeGiven = cmd.Flags().Changed("sample-size")
			p, err := f.partitioner(args)
			if err != nil {
				return err
			}
			run := a.runPartition
			if f.sample {
				run = func(ctx context.Context, p *partition.Partitioner) error {
					return a.samplePoints(ctx, p, &f)
				}
			}
			err = run(cmd.Context(), p)
			if errors.As(err, new(*partition.InputError)) {
				a.subject = cmp.Or(os.Getenv("S4_KEY"), "stdin")
			}
			if err != nil {
				return failure{err}
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.IntVarP(&f.n, "number", "n", 0, "number of files at most, 1 to 1000000")
	fl.StringVarP(&f.delimiter, "delimiter", "d", `\t`, "one byte between fields, with --csv a comma if not given")
	fl.StringVarP(&f.key, "key", "k", "1", "fields that are the key: numbers from 1 on or names in the header, with commas between; 0 is all")
	fl.BoolVar(&f.csv, "csv", false, "records are CSV, with quotes")
	fl.BoolVarP(&f.null, "null", "0", false, "a NUL byte ends a record, not a newline")
	fl.StringVar(&f.by, "by", "hash", "hash, range or round-robin")
	fl.StringVar(&f.header, "header", "", "first record: drop it, or keep it as the first of every file")
	fl.StringVar(&f.missing, "missing", "error", "field of the key that a record lacks: error, or empty")
	fl.BoolVar(&f.sample, "sample", false, "print split points for --by range, and write no files")
	fl.IntVar(&f.sampleSize, "sample-size", 0, "keys that --sample keeps, 1 to 1000000 (default 100000, or 10 for each file if that is more)")
	return cmd
}

// maxSample is the most keys a sample may have.
const maxSample = 1_000_000

// partitioner returns the partitioner that the flags describe. Its errors are errors in
// usage.
func (f *partitionFlags) partitioner(args []string) (*partition.Partitioner, error) {
	c := partition.Config{N: f.n}
	if f.n == 0 {
		return nil, usagef("say how many partitions, 1 to %d, with -n", partition.MaxN)
	}
	switch {
	case f.csv && f.null:
		return nil, usagef("--csv and --null exclude each other: newlines end records of CSV")
	case f.csv:
		c.Format = partition.CSV
	case f.null:
		c.Format = partition.Null
	}
	switch {
	case f.csv && !f.delimited:
		c.Delimiter = ','
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
	switch f.missing {
	case "error":
	case "empty":
		c.Missing = true
	default:
		return nil, usagef("--missing %q is neither error nor empty", f.missing)
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
	key, err := keyColumns(f.key)
	if err != nil {
		return nil, err
	}
	c.Key = key
	if c.Header == partition.HeaderNone {
		for _, k := range key {
			if k.Name != "" {
				return nil, usagef("-k %s: a column's name is looked up in the header: say --header keep or --header drop", k.Name)
			}
		}
	}
	switch {
	case f.sample && c.By == partition.RoundRobin:
		return nil, usagef("--sample finds split points for --by range, and --by round-robin needs none")
	case f.sample && len(args) > 0:
		return nil, usagef("%q: --sample reads standard input, and prints split points", args[0])
	case f.sizeGiven && !f.sample:
		return nil, usagef("--sample-size goes with --sample")
	case f.sizeGiven && (f.sampleSize < 1 || f.sampleSize > maxSample):
		return nil, usagef("--sample-size is from 1 to %d", maxSample)
	case f.sample:
		c.By = partition.Hash // as all keys have to be read
	case c.By == partition.Range && len(args) == 0:
		return nil, usagef("--by range needs a FILE of split points")
	case c.By != partition.Range && len(args) > 0:
		return nil, usagef("%q: lines come from standard input, and a FILE goes with --by range only", args[0])
	case c.By == partition.Range:
		points, err := readPoints(args[0], c)
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

// keyColumns returns the columns that the value of -k lists: none for 0.
func keyColumns(text string) (columns []partition.Column, err error) {
	if text == "0" {
		return nil, nil
	}
	for word := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(word)
		switch {
		case word == "":
			return nil, usagef("-k %q: a column is empty", text)
		case err != nil:
			columns = append(columns, partition.Column{Name: word})
		case n < 1:
			return nil, usagef("field %d: fields count from 1, and -k 0 alone is the whole record", n)
		default:
			columns = append(columns, partition.Column{Field: n})
		}
	}
	return columns, nil
}

func readPoints(file string, c partition.Config) ([][]byte, error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("split points: %w", err)
	}
	defer in.Close()
	points, err := partition.ReadPoints(in, c)
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
		if err := buffered.line(f.Name, partitionObject{f.Name, f.Records, f.Bytes}); err != nil {
			return err
		}
	}
	return out.Flush()
}

// samplePoints prints split points.
func (a *app) samplePoints(ctx context.Context, p *partition.Partitioner, f *partitionFlags) error {
	size := f.sampleSize
	if size == 0 {
		size = min(max(100_000, 10*f.n), maxSample)
	}
	points, err := p.Sample(ctx, a.stdin, size)
	if err != nil {
		return err
	}
	end := byte('\n')
	if f.null {
		end = 0
	}
	out := bufio.NewWriter(a.stdout)
	for _, point := range points {
		if a.json {
			buffered := *a
			buffered.stdout = out
			err = buffered.line("", pointObject{text(point)})
		} else {
			_, err = out.Write(append(point, end))
		}
		if err != nil {
			return err
		}
	}
	return out.Flush()
}

// pointObject is a split point as --json prints it.
type pointObject struct {
	Point text `json:"point"`
}

// partitionObject is one file of a partition as --json prints it.
type partitionObject struct {
	File  string `json:"file"`
	Lines int64  `json:"lines"`
	Bytes int64  `json:"bytes"`
}
