package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli/flags"
)

// copying is one run of a verb that copies: cp, or mv, which removes what it has copied.
type copying struct {
	*app
	c        *s4.Client
	verb     string // cp or mv
	progress progressFlag
	opts     s4.CopyOptions
}

// start calls do, which copies. A dry run writes to standard output.
func (a *copying) start(ctx context.Context, do func() error) error {
	if a.opts.DryRun {
		return unlessStuck(ctx, do)
	}
	return do()
}

// copy copies one source, which may be a pattern, and tells of it.
func (a *copying) copy(ctx context.Context, src, dst string, pattern bool) error {
	up := strings.HasPrefix(dst, s4.Scheme)
	switch a.subject = src; {
	case up:
		a.subject = dst
		if src == "-" && !a.opts.Recursive && closedAtStart(a.stdin) {
			return errNoStdin
		}
	case dst == "-" && !a.opts.Recursive && closedAtStart(a.stdout):
		return errNoStdout
	}
	if dst == "-" && a.mixes() && a.progress == "auto" {
		a.progress = "never" // the bytes go to the same terminal
	}
	run := func(ctx context.Context, opts *s4.CopyOptions) error {
		switch {
		case a.verb == "mv":
			return a.c.Move(ctx, src, dst, opts)
		case dst == "-":
			return unlessStuck(ctx, func() error { return a.c.Copy(ctx, src, dst, opts) })
		}
		return a.c.Copy(ctx, src, dst, opts)
	}
	given, many := src, a.opts.Split != nil
	if a.opts.Recursive || pattern {
		given, many = "", true
	}
	return a.run(ctx, given, many, up, src != "-" && a.opts.Split == nil, run)
}

// copyAll copies many sources into a directory, and tells of it. countable says that they
// can be looked at twice.
func (a *copying) copyAll(ctx context.Context, srcs iter.Seq2[string, error], dst string, countable bool) error {
	a.subject = dst
	return a.run(ctx, "", true, strings.HasPrefix(dst, s4.Scheme), countable, func(ctx context.Context, opts *s4.CopyOptions) error {
		if a.verb == "mv" {
			return a.c.MoveAll(ctx, srcs, dst, opts)
		}
		return a.c.CopyAll(ctx, srcs, dst, opts)
	})
}

// run calls do, which copies as its options say, and tells of it. src is the source as it
// was given, or "" if there may be many; many says that there may be many files or keys, up
// that files become keys, and countable that a dry run tells how many.
func (a *copying) run(ctx context.Context, src string, many, up, countable bool, do func(context.Context, *s4.CopyOptions) error) error {
	opts := a.opts
	var all func(context.Context) (copyTotal, error)
	if countable {
		all = countCopy(opts, do)
	}
	if opts.DryRun {
		a.progress = "never"
	}
	shown, stop := a.watchCopy(ctx, a.verb, a.progress, all)
	defer stop()
	opts.Moved = &shown.moved
	t := copyCounts{what: "file", dry: opts.DryRun}
	if opts.Split != nil {
		t.what = "part"
	}
	opts.Report = func(r s4.Transfer) {
		from, to := r.Key, r.Path
		switch {
		case r.To != "":
			to = r.To
			t.what = "key"
		case up:
			from, to = to, from
		}
		if src != "" {
			from = src // as it was given
		}
		shown.aside(func() {
			shown.done(r)
			// A copy to stdout has no path: nothing but the key belongs there. The error of
			// a single one is here if only its source could not be removed.
			if many || t.dry || a.json && to != "" || r.Same || r.Err != nil {
				a.each(&t, from, to, r)
			}
		})
	}
	err := do(ctx, &opts)
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
		if err == nil && t.failed > 0 {
			return errReported
		}
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
func (a *copying) each(t *copyCounts, src, dst string, r s4.Transfer) {
	switch {
	case r.Same:
		t.same++
		if a.json {
			_ = a.line("", copyObject{Src: text(src), Dst: text(dst), Size: &r.Size, Same: true}) // nothing was done
		}
	case r.Skip:
		t.skipped++
		a.note("s4: %s %s: skipped: %s", a.verb, oneLine(src), oneLine(r.Err.Error()))
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
		t.told.report(a.app, a.verb, r.Err)
	default:
		t.copied++
		t.bytes += r.Size
		switch {
		case t.dry:
			if t.out == nil {
				t.out = a.line(a.dryRun(src, dst), copyObject{Dryrun: true, Src: text(src), Dst: text(dst), Size: &r.Size})
			}
		case a.json:
			_ = a.line("", copyObject{Src: text(src), Dst: text(dst), Size: &r.Size}) // the copy itself is done
		}
	}
}

// dryRun is what --dryrun prints of a copy, in the words of aws s3.
func (a *copying) dryRun(src, dst string) string {
	verb, up := "download", strings.HasPrefix(dst, s4.Scheme)
	switch {
	case a.verb == "mv":
		verb = "move"
	case up && strings.HasPrefix(src, s4.Scheme):
		verb = "copy"
	case up:
		verb = "upload"
	}
	if dst == "" {
		dst = "-"
	}
	return fmt.Sprintf("(dryrun) %s: %s to %s", verb, printable(src), printable(dst))
}

// summary prints the last line of a copy of many keys and makes its error.
func (a *copying) summary(t *copyCounts, err error) error {
	t.told.rest(a.app, a.verb)
	if t.existing > 0 && t.existing <= maxExisting {
		for _, r := range t.exists {
			a.subject = r.Key
			a.report(a.verb, r.Err)
		}
		t.failed, t.existing = t.failed+t.existing, 0
	}
	if t.failed+t.existing > 0 {
		var p parts
		p.add(true, "%s %s", count(t.copied, t.what), a.past())
		p.add(t.same > 0, "%d there already", t.same)
		p.add(t.existing > 0, "%d keys exist already, not %s", t.existing, a.past())
		p.add(t.failed > 0, "%d failed", t.failed)
		a.print(a.verb, "", p.String())
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
		verb := a.past()
		if t.dry {
			verb = "would " + map[string]string{"cp": "copy", "mv": "move"}[a.verb]
		}
		a.note("%s %s, %s%s", verb, count(t.copied, t.what), flags.FormatSize(t.bytes), skipped)
	}
	return err
}

// past is what the verb has done.
func (a *copying) past() string {
	if a.verb == "mv" {
		return "moved"
	}
	return "copied"
}
