package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli/flags"
)

func (a *app) cp() *cobra.Command {
	var (
		choose            chooser
		recursive, header bool
		size              sizeFlag
		existing          bool
		retries           int
		progress          progressFlag
	)
	cmd := &cobra.Command{
		Use:   "cp SRC... DST",
		Short: "copy files to keys, or keys to files; - is stdin or stdout",
		Long: `Copy between local files and keys. One of SRC and DST starts with s4://, the
other is a path, or - for standard input or output. A DST that ends in a slash,
is a directory or is a bucket keeps the name of SRC. Keys are immutable: an
existing one is not replaced. Local files are, when all is there and verified.

With -r, SRC is a directory, local or of keys, and all below it is copied in
parallel over all servers.

With several SRC, DST is a directory, made if it ends in a slash or with -r; each keeps
its name. A SRC of keys may have wildcards, as in 's4://bucket/2024-*/part_?': * and ?
match no slash, ** any directories. The keys that match are copied by their paths from
the first segment with a wildcard on, with -r matching directories, too. --from-file
takes SRC from a list, as they are.

--include and --exclude choose among files below SRC, by their paths relative to it. Of
several, the last that matches counts; if the first is --include, all else is left out.
'*.txt' stands for such files in every directory, tmp for all below a directory tmp,
'a/*.txt' for such files in a.

With --skip-existing, what is there with the same size is skipped and counted: a copy
that was interrupted can be repeated. A key of another size is an error. The content is
not compared: see 's4 sync --checksum'.

A transfer that breaks, as a server is restarted or does not answer, is tried up to 3
more times, or as --retries says, if SRC can be read again: a file can, stdin and stdout
cannot. Before each, the server is waited for, for up to 10 seconds. If the key of an
upload whose answer was lost exists with the file's size and xxh64, it is done.

With --split-lines, SRC is a file or standard input and becomes many keys: it is
cut at line ends, and each part is named by its number and the name in DST,
00000_data.csv, 00001_data.csv and so on, or the number alone for standard input
that is given no name. Numbered keys are spread over the servers evenly. A part
ends with the first line that ends at or after SIZE bytes, whatever the length
of the line: it is longer than SIZE by less than a line. The parts together are
SRC, byte for byte; an empty SRC makes none. SIZE is in bytes or has a unit: K,
M, G, T or KiB, MiB, GiB, TiB in powers of 1024, and kB, MB, GB, TB of 1000. A
part that fails ends the copy; the parts before it stay.

With --header, every part begins with the first line of SRC, at most 1 MiB. SIZE
is without it.

On the network, bytes are compressed with lz4 while that gets them there sooner:
where the network is what is slow, the data shrinks and a core is free. With
--compress always, all that shrinks is; with never, nothing.`,
		Example: `  s4 cp data.csv s4://bucket/in/
  seq 1000 | s4 cp - s4://bucket/in/000
  s4 cp s4://bucket/out/000 - | sort
  s4 cp -r dir s4://bucket/dir
  s4 cp --split-lines 64M --header data.csv s4://bucket/in/
  s4 cp -r s4://bucket/out/ out/
  s4 cp -r --skip-existing dir s4://bucket/dir
  s4 cp a.csv b.csv s4://bucket/in/
  s4 cp 's4://bucket/2024-*/part_?' out/
  s4 cp -r -n --exclude .git --exclude '*.o' . s4://bucket/src
  find . -name '*.csv' -print0 | s4 cp --from-file - -0 s4://bucket/in/`,
		RunE: a.run(func(ctx context.Context, c *s4.Client, args []string) error {
			if choose.from != "" && len(args) == 0 {
				return wrongArgs("DST with --from-file", args)
			}
			if choose.from == "" && len(args) < 2 {
				return wrongArgs("SRC... DST", args)
			}
			srcs, dst := args[:len(args)-1], args[len(args)-1]
			opts := s4.CopyOptions{Recursive: recursive, Stdin: a.stdin, Stdout: a.stdout,
				Glob: choose.globs(), Filter: &choose.filter, DryRun: choose.dryRun,
				SkipExisting: existing, Retries: retries}
			many := choose.from != "" || len(srcs) > 1
			down := !strings.HasPrefix(dst, s4.Scheme)
			pattern := down && len(srcs) == 1 && choose.glob(srcs[0])
			switch split := size > 0; {
			case choose.filtered && !recursive && !many && !pattern:
				return usagef("--include and --exclude are for -r, for patterns and for many sources")
			case split && (many || choose.dryRun):
				return usagef("--split-lines cuts one file, and has no dry run")
			case retries < 0:
				return usagef("--retries must not be negative")
			case existing && split:
				return usagef("--skip-existing is not for --split-lines")
			case existing && !many && (srcs[0] == "-" || dst == "-"):
				return usagef("--skip-existing is for files: stdin and stdout have no size")
			case header && !split:
				return usagef("--header is for --split-lines")
			case split && recursive:
				return usagef("--split-lines cuts one file: leave it or -r off")
			case split && strings.HasPrefix(args[0], s4.Scheme):
				return usagef("--split-lines is for copies from a file or stdin to keys: leave it off")
			case split:
				opts.Split = &s4.SplitOptions{Size: int64(size), Header: header}
			}
			names, err := choose.names(ctx, a, srcs)
			if err != nil {
				return err
			}
			run := func() error {
				if !many {
					return a.copy(ctx, c, srcs[0], dst, pattern, progress, opts)
				}
				a.subject = dst
				return a.runCopy(ctx, opts, "", true, !down, progress, choose.from != "-", func(ctx context.Context, opts *s4.CopyOptions) error {
					return c.CopyAll(ctx, names, dst, opts)
				})
			}
			if choose.dryRun {
				return unlessStuck(ctx, run)
			}
			return run()
		}),
	}
	f := cmd.Flags()
	progress.register(f)
	a.compress.register(f, "on the network")
	f.BoolVarP(&recursive, "recursive", "r", false, "copy everything below SRC")
	f.Var(&size, "split-lines", "cut SRC at line ends into keys of about `SIZE` bytes, as in 64M")
	f.BoolVar(&header, "header", false, "with --split-lines, repeat the first line in every part")
	f.BoolVar(&existing, "skip-existing", false, "skip what is there with the same size")
	f.IntVar(&retries, "retries", defaultRetries, "try a transfer that breaks up to `N` more times")
	choose.registerDryRun(f)
	choose.registerFilter(f)
	choose.registerGlob(f)
	choose.registerFrom(f, "sources")
	return cmd
}

// defaultRetries is how often a transfer that breaks is tried again: one restart of a
// server breaks it once.
const defaultRetries = 3

// copy copies one source, which may be a pattern, and tells of it.
func (a *app) copy(ctx context.Context, c *s4.Client, src, dst string, pattern bool, progress progressFlag, opts s4.CopyOptions) error {
	up := strings.HasPrefix(dst, s4.Scheme)
	switch a.subject = src; {
	case up:
		a.subject = dst
		if src == "-" && !opts.Recursive && closedAtStart(a.stdin) {
			return errNoStdin
		}
	case dst == "-" && !opts.Recursive && closedAtStart(a.stdout):
		return errNoStdout
	}
	if dst == "-" && a.mixes() && progress == "auto" {
		progress = "never" // the bytes go to the same terminal
	}
	run := func(ctx context.Context, opts *s4.CopyOptions) error {
		if dst != "-" {
			return c.Copy(ctx, src, dst, opts)
		}
		return unlessStuck(ctx, func() error { return c.Copy(ctx, src, dst, opts) })
	}
	given, many := src, opts.Split != nil
	if opts.Recursive || pattern {
		given, many = "", true
	}
	return a.runCopy(ctx, opts, given, many, up, progress, src != "-" && opts.Split == nil, run)
}

// runCopy calls run, which copies as opts say, and tells of it. src is the source as it
// was given, or "" if there may be many; many says that there may be many files or keys, and countable that a
// dry run tells how many.
func (a *app) runCopy(ctx context.Context, opts s4.CopyOptions, src string, many, up bool, progress progressFlag, countable bool, run func(context.Context, *s4.CopyOptions) error) error {
	var all func(context.Context) (copyTotal, error)
	if countable {
		all = countCopy(opts, run)
	}
	if opts.DryRun {
		progress = "never"
	}
	shown, stop := a.watchCopy(ctx, "cp", progress, all)
	defer stop()
	opts.Moved = &shown.moved
	t := copyCounts{what: "file", dry: opts.DryRun}
	if opts.Split != nil {
		t.what = "part"
	}
	opts.Report = func(r s4.Transfer) {
		from, to := r.Key, r.Path
		if up {
			from, to = to, from
		}
		if src != "" {
			from = src // as it was given
		}
		shown.aside(func() {
			shown.done(r)
			// A copy to stdout has no path: nothing but the key belongs there.
			if many || t.dry || a.json && to != "" || r.Same {
				a.each(&t, from, to, r)
			}
		})
	}
	err := run(ctx, &opts)
	stop()
	var e *s4.Error
	switch {
	case errors.As(err, &e) && e.Op == "cp" && e.Kind == s4.ErrBadRequest:
		return usageError{errors.New(e.Text)}
	case errors.As(err, &e) && e.Op == "cp" && e.Kind != s4.ErrCanceled:
		err = errors.New(e.Text) // the line has the key already
	case err == nil && t.out != nil:
		a.subject = ""
		return t.out
	}
	if !many && t.same == 0 {
		return err
	}
	return a.summary(&t, err)
}

// copyObject is one copied file as --json prints it.
type copyObject struct {
	Dryrun  bool   `json:"dryrun,omitempty"`
	Src     text   `json:"src"`
	Dst     text   `json:"dst,omitempty"`
	Size    *int64 `json:"size,omitempty"`
	Skipped text   `json:"skipped,omitempty"`
	Same    bool   `json:"same,omitempty"` // it was there, with --skip-existing
}

// copyCounts counts the outcomes of a copy of many keys.
type copyCounts struct {
	what                           string // what is counted, in the singular
	dry                            bool   // nothing is copied
	copied, failed, skipped, bytes int64
	same                           int64         // skipped by --skip-existing
	existing                       int64         // keys that exist already
	exists                         []s4.Transfer // the first of those
	out                            error         // of standard output, in a dry run
	told                           repeats
}

// maxExisting is how many keys that exist already are named, each by an error. More
// are most likely those of a copy that is run again, which is one thing to say.
const maxExisting = 3

// each takes note of one transfer. It is called by one goroutine at a time.
func (a *app) each(t *copyCounts, src, dst string, r s4.Transfer) {
	switch {
	case r.Same:
		t.same++
		if a.json {
			_ = a.line("", copyObject{Src: text(src), Dst: text(dst), Size: &r.Size, Same: true}) // nothing was done
		}
	case r.Skip:
		t.skipped++
		a.note("s4: cp %s: skipped: %s", oneLine(src), oneLine(r.Err.Error()))
		if a.json {
			_ = a.line("", copyObject{Src: text(src), Skipped: text(r.Err.Error())}) // it says what was not done
		}
	case errors.Is(r.Err, s4.ErrCanceled):
		// Interrupted, which is said once, at the end.
	case errors.Is(r.Err, s4.ErrExists) && !a.json:
		t.existing++
		if len(t.exists) < maxExisting {
			t.exists = append(t.exists, r)
		}
	case r.Err != nil:
		t.failed++
		a.subject = r.Key
		t.told.report(a, "cp", r.Err)
	default:
		t.copied++
		t.bytes += r.Size
		switch {
		case t.dry:
			if t.out == nil {
				t.out = a.line(dryRun(src, dst), copyObject{Dryrun: true, Src: text(src), Dst: text(dst), Size: &r.Size})
			}
		case a.json:
			_ = a.line("", copyObject{Src: text(src), Dst: text(dst), Size: &r.Size}) // the copy itself is done
		}
	}
}

// dryRun is what --dryrun prints of a copy, in the words of aws s3.
func dryRun(src, dst string) string {
	verb := "download"
	if strings.HasPrefix(dst, s4.Scheme) {
		verb = "upload"
	}
	if dst == "" {
		dst = "-"
	}
	return fmt.Sprintf("(dryrun) %s: %s to %s", verb, printable(src), printable(dst))
}

// summary prints the last line of a copy of many keys and makes its error.
func (a *app) summary(t *copyCounts, err error) error {
	t.told.rest(a, "cp")
	if t.existing > 0 && t.existing <= maxExisting {
		for _, r := range t.exists {
			a.subject = r.Key
			a.report("cp", r.Err)
		}
		t.failed, t.existing = t.failed+t.existing, 0
	}
	if t.failed+t.existing > 0 {
		var p parts
		p.add(true, "%s copied", count(t.copied, t.what))
		p.add(t.same > 0, "%d there already", t.same)
		p.add(t.existing > 0, "%d keys exist already, not copied", t.existing)
		p.add(t.failed > 0, "%d failed", t.failed)
		a.print("cp", "", p.String())
		if err == nil {
			return errReported
		}
		return err
	}
	if err == nil || errors.Is(err, s4.ErrCanceled) {
		skipped := ""
		if t.same > 0 {
			skipped = fmt.Sprintf(", %d there already", t.same)
		}
		if t.skipped > 0 {
			skipped += fmt.Sprintf(", %d skipped", t.skipped)
		}
		verb := "copied"
		if t.dry {
			verb = "would copy"
		}
		a.note("%s %s, %s%s", verb, count(t.copied, t.what), flags.FormatSize(t.bytes), skipped)
	}
	return err
}
