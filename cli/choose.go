package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/spf13/pflag"

	"github.com/nathants/s4"
)

// chooser has the flags with which a verb chooses among keys or files.
type chooser struct {
	noGlob   bool
	filter   s4.Filter
	filtered bool // there is an --include or --exclude
	dryRun   bool
	from     string // a file with names, - for stdin
	zero     bool   // with from: names end in zero bytes
}

// registerGlob adds --no-glob.
func (c *chooser) registerGlob(f *pflag.FlagSet) {
	f.BoolVar(&c.noGlob, "no-glob", false, "take * ? [ { in names as they are")
}

// registerFilter adds --include and --exclude.
func (c *chooser) registerFilter(f *pflag.FlagSet) {
	f.Var(&ruleFlag{c, c.filter.Include}, "include", "take what matches `PATTERN`, as in '*.txt'; of several rules the last that matches counts")
	f.Var(&ruleFlag{c, c.filter.Exclude}, "exclude", "leave out what matches `PATTERN`")
}

// registerDryRun adds --dryrun.
func (c *chooser) registerDryRun(f *pflag.FlagSet) {
	f.BoolVarP(&c.dryRun, "dryrun", "n", false, "print what would be done, and do nothing")
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "dry-run" { // as s5cmd and rclone have it
			name = "dryrun"
		}
		return pflag.NormalizedName(name)
	})
}

// registerFrom adds --from-file; what says what the file has.
func (c *chooser) registerFrom(f *pflag.FlagSet, what string) {
	f.StringVar(&c.from, "from-file", "", "read "+what+" from `FILE`, one a line, or - for standard input")
	f.BoolVarP(&c.zero, "null", "0", false, "with --from-file, names end in a zero byte instead of a newline")
}

// ruleFlag is --include or --exclude. Both add to one list, in the order they are given.
type ruleFlag struct {
	c   *chooser
	add func(string) error
}

func (r *ruleFlag) String() string { return "" }

// Type is what pflag calls it.
func (r *ruleFlag) Type() string { return "PATTERN" }

// Set is given what the user wrote.
func (r *ruleFlag) Set(text string) error {
	r.c.filtered = true
	if r.add(text) != nil {
		return errors.New("malformed pattern of paths below the source, such as tmp or 'a/*.txt'")
	}
	return nil
}

// glob reports whether name is to be taken as a pattern.
func (c *chooser) glob(name string) bool { return c.globs() && s4.IsGlob(name) }

// globs reports whether names may be patterns. Those from a file are not.
func (c *chooser) globs() bool { return !c.noGlob && c.from == "" }

// many reports whether args may stand for more than one key without -r.
func (c *chooser) many(args []string) bool {
	return c.from != "" || len(args) > 1 || len(args) == 1 && c.glob(args[0])
}

// find returns the options of s4.Find.
func (c *chooser) find(recursive bool) *s4.FindOptions {
	return &s4.FindOptions{Recursive: recursive, Glob: c.globs(), Filter: &c.filter}
}

// names checks that there are names, and returns them: args, or those in the file, which
// end with an error when ctx ends.
func (c *chooser) names(ctx context.Context, a *app, args []string) (iter.Seq2[string, error], error) {
	switch {
	case c.zero && c.from == "":
		return nil, usagef("-0 is for --from-file")
	case c.from == "":
		return func(yield func(string, error) bool) {
			for _, name := range args {
				if !yield(name, nil) {
					return
				}
			}
		}, nil
	case len(args) > 0:
		return nil, usagef("--from-file has all names: leave it or %s off", args[0])
	case c.from == "-" && closedAtStart(a.stdin):
		return nil, errNoStdin
	}
	return func(yield func(string, error) bool) {
		in := a.stdin
		if c.from != "-" {
			f, err := os.Open(c.from)
			if err != nil {
				yield("", err)
				return
			}
			defer f.Close()
			in = f
		}
		c.read(&leaving{ctx, in}, yield)
	}, nil
}

// maxListed is how long a name in a file may be: as long as a path (PATH_MAX).
const maxListed = 4096

// read yields the names in a file. Empty ones are left out.
func (c *chooser) read(in io.Reader, yield func(string, error) bool) {
	end := byte('\n')
	if c.zero {
		end = 0
	}
	r := bufio.NewReaderSize(in, maxListed+1)
	for line := 1; ; line++ {
		name, err := r.ReadSlice(end)
		if errors.Is(err, bufio.ErrBufferFull) {
			yield("", fmt.Errorf("%s: line %d is longer than %d bytes", c.from, line, maxListed))
			return
		}
		if n := len(name); n > 0 && name[n-1] == end {
			name = name[:n-1]
		}
		if end == '\n' { // as editors of Windows end lines, and begin files
			name = bytes.TrimSuffix(name, []byte("\r"))
			if line == 1 {
				name = bytes.TrimPrefix(name, []byte("\ufeff"))
			}
		}
		if len(name) > 0 && !yield(string(name), nil) {
			return
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			yield("", fmt.Errorf("%s: %w", c.from, err))
			return
		}
	}
}

// failures prints the errors of a verb that goes on after one, and remembers that there
// were some.
type failures struct {
	a      *app
	verb   string
	listed bool // the names come from a list or a directory, and not from arguments
	some   bool
	other  bool // one is not that of a wrong argument
	told   repeats
}

// add prints an error of a name, unless it is that of an interrupt, which is said once,
// at the end.
func (f *failures) add(name string, err error) {
	f.some = true
	f.other = f.other || f.listed || !errors.Is(err, s4.ErrUsage)
	if errors.Is(err, s4.ErrCanceled) {
		return
	}
	f.a.subject = name
	f.told.report(f.a, f.verb, err)
}

// after adds the error of a name, if there is one, so that the next name comes. It returns
// those that end all: of standard output, and an interrupt.
func (f *failures) after(ctx context.Context, name string, err error) error {
	var out *outputError
	if err == nil || errors.As(err, &out) || ctx.Err() != nil {
		return err
	}
	f.add(name, err)
	return nil
}

// err returns nil if there were no errors, errMisused if all were of wrong arguments, and
// else errReported.
func (f *failures) err() error {
	f.told.rest(f.a, f.verb)
	switch {
	case !f.some:
		return nil
	case !f.other:
		return errMisused
	}
	return errReported
}
