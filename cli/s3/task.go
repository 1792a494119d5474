package s3

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/spf13/pflag"

	"github.com/nathants/s4/cli"
)

// task runs one of the commands that the jobs of import and export have:
//
//	s4-s3 get [flags] s3://bucket/prefix/   a record on standard input, bytes to standard output
//	s4-s3 put [flags] s3://bucket/prefix/   $S4_KEY on standard input
//
// With $S4_BATCH they do all that it lists. They are not for people, and have no help.
func task(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var t taskFlags
	fl := pflag.NewFlagSet(args[0], pflag.ContinueOnError)
	fl.SetOutput(io.Discard)
	t.Register(fl)
	fl.StringVar(&t.below, "below", "", "")
	fl.BoolVar(&t.resume, "resume", false, "")
	fl.BoolVar(&t.noClobber, "no-clobber", false, "")
	fl.BoolVar(&t.marked, "marked", false, "")
	fl.BoolVar(&t.marker, "success-marker", false, "")
	fl.BoolVar(&t.unmark, "remove-marker", false, "")
	err := fl.Parse(args[1:])
	if err == nil {
		in, inOK := stdin.(*os.File)
		out, outOK := stdout.(*os.File)
		switch {
		case !inOK || !outOK:
			err = errors.New("standard input and output must be files")
		case args[0] == "get":
			err = t.get(ctx, in, out)
		case fl.NArg() != 1:
			err = errors.New("want one s3://bucket/prefix/")
		default:
			err = t.put(ctx, fl.Arg(0), in, stderr)
		}
	}
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "s4-s3 %s: %s\n", args[0], oneLine(err.Error()))
	return 1
}

// taskFlags are the flags of a task.
type taskFlags struct {
	cli.S3Options
	below             string // the directory of keys whose names objects have
	resume, noClobber bool
	marked            bool // the marker is written when all is there, and not as a key
	marker, unmark    bool // write or remove the marker, and nothing else
}

// about adds the name of an object to an error.
func about(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, problem(err))
}

// client returns a client that has found credentials.
func (t *taskFlags) client(ctx context.Context) (*sdk.Client, error) {
	cfg, err := newConfig(ctx, &t.S3Options)
	if err != nil {
		return nil, err
	}
	if !t.NoSign {
		if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
			return nil, noCredentials(err, "this server has no credentials (give it some, or let it use those of the machine where s4 runs: --send-credentials)")
		}
	}
	return newClient(cfg, &t.S3Options, true), nil
}

func (t *taskFlags) get(ctx context.Context, in, out *os.File) error {
	c, err := t.client(ctx)
	if err != nil {
		return err
	}
	g := newGetter(c, t.Parallel)
	if list := os.Getenv("S4_BATCH"); list != "" {
		return eachInBatch(ctx, list, t.Parallel, true, func(ctx context.Context, b batchLine) error {
			f, err := os.Open(b.in)
			if err != nil {
				return err
			}
			defer f.Close()
			r, err := readRecord(f)
			if err != nil {
				return err
			}
			to, err := os.OpenFile(b.out, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
			if err != nil {
				return err
			}
			err = about(r.name(), g.fetch(ctx, r, to))
			if cerr := to.Close(); err == nil {
				err = cerr
			}
			if err != nil {
				_ = os.Remove(b.out) // no output is how a task of a batch fails alone
			}
			return err
		})
	}
	r, err := readRecord(in)
	if err != nil {
		return err
	}
	return about(r.name(), g.fetch(ctx, r, out))
}

func readRecord(in io.Reader) (*record, error) {
	data, err := io.ReadAll(io.LimitReader(in, maxRecord))
	if err != nil {
		return nil, err
	}
	return decodeRecord(data)
}

func (t *taskFlags) put(ctx context.Context, where string, in *os.File, stderr io.Writer) error {
	to, err := parseDestination(where)
	if err != nil {
		return err
	}
	c, err := t.client(ctx)
	if err != nil {
		return err
	}
	if t.Parallel == 0 {
		t.Parallel = transfersForEach()
	}
	p := newPutter(c, t.Parallel)
	p.resume, p.noClobber = t.resume, t.noClobber
	one := func(ctx context.Context, key string, f *os.File) error {
		rel, ok := strings.CutPrefix(key, t.below)
		if !ok {
			return fmt.Errorf("%s is not below %s", key, t.below)
		}
		s, err := newSource(f)
		switch {
		case err != nil:
		case t.marked && rel == marker && s.size > 0:
			err = fmt.Errorf("--success-marker would replace it: the key %s is not empty (leave it out: --exclude %s)", key, marker)
		case t.marked && rel == marker:
		default:
			_, err = p.put(ctx, s, to.bucket, to.prefix+rel)
		}
		return about(scheme+to.bucket+"/"+to.prefix+rel, err)
	}
	if t.unmark {
		return about(where+marker, removeMarker(ctx, c, to))
	}
	if t.marker {
		return about(where+marker, p.whole(ctx, &source{f: strings.NewReader("")}, to.bucket, to.prefix+marker))
	}
	if list := os.Getenv("S4_BATCH"); list != "" {
		return eachInBatch(ctx, list, t.Parallel, false, func(ctx context.Context, b batchLine) error {
			f, err := os.Open(b.in)
			if err != nil {
				return err
			}
			defer f.Close()
			return one(ctx, b.name, f)
		})
	}
	return one(ctx, os.Getenv("S4_KEY"), in)
}

// marker is the name of the empty object that says that all others are there, as Hadoop
// has it.
const marker = "_SUCCESS"

// removeMarker removes the marker of an export before this one.
func removeMarker(ctx context.Context, c *sdk.Client, to destination) error {
	key := to.prefix + marker
	_, err := c.HeadObject(ctx, &sdk.HeadObjectInput{Bucket: &to.bucket, Key: &key})
	if err == nil {
		_, err = c.DeleteObject(ctx, &sdk.DeleteObjectInput{Bucket: &to.bucket, Key: &key})
	}
	if isMissing(err) {
		return nil
	}
	return err
}

// transfersForEach returns how many transfers one of a server's tasks may have under way, so
// that all together have no more than the server allows.
func transfersForEach() int {
	transfers, _ := strconv.Atoi(os.Getenv("S4_MAX_IO_JOBS"))
	tasks, _ := strconv.Atoi(os.Getenv("S4_MAX_CPU_JOBS"))
	if transfers <= 0 || tasks <= 0 {
		return 1
	}
	return max(transfers/tasks, 1)
}

// batchLine is a line of $S4_BATCH.
type batchLine struct{ name, in, out string }

// eachInBatch calls f for all that the file lists, and returns the first error. With
// outputs, what fails has no output file, and the server runs those tasks again, each alone,
// to find out why: then an error is one that all others would have, too, or that nothing
// was done.
func eachInBatch(ctx context.Context, list string, atOnce int, outputs bool, f func(context.Context, batchLine) error) error {
	lines, err := readBatch(list)
	if err != nil {
		return err
	}
	var failed atomic.Int64
	return eachOf(ctx, len(lines), max(atOnce, 1), func(ctx context.Context, i int) error {
		err := f(ctx, lines[i])
		var told *s3Error
		switch {
		case err == nil || !outputs || ctx.Err() != nil:
			return err
		case errors.As(err, &told) && told.hopeless():
			return err
		case failed.Add(1) == int64(len(lines)):
			return err
		}
		return nil
	})
}

func readBatch(list string) ([]batchLine, error) {
	f, err := os.Open(list)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []batchLine
	in := bufio.NewScanner(f)
	for in.Scan() {
		w := strings.Split(in.Text(), "\t")
		if len(w) != 3 {
			return nil, fmt.Errorf("%s: malformed line %q", list, in.Text())
		}
		lines = append(lines, batchLine{w[0], w[1], w[2]})
	}
	return lines, in.Err()
}
