package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli/flags"
)

// copyFirst is after which time a copy shows its progress on a terminal: before, there is
// nothing to wait for.
const copyFirst = time.Second

// progressFlag is --progress: auto, always or never.
type progressFlag string

func (p *progressFlag) register(f *pflag.FlagSet) {
	*p = "auto"
	f.Var(p, "progress", "show progress on standard error: auto is on a terminal after a second and elsewhere now and then, always also with -q and --json and every second elsewhere, or never; `WHEN`")
}

// String returns the word.
func (p *progressFlag) String() string { return string(*p) }

// Type is what pflag calls it.
func (p *progressFlag) Type() string { return "WHEN" }

// Set is given what the user wrote.
func (p *progressFlag) Set(text string) error {
	switch text {
	case "auto", "always", "never":
		*p = progressFlag(text)
		return nil
	}
	return fmt.Errorf("it is auto, always or never")
}

// copyTotal is what a copy has to do, or has done.
type copyTotal struct{ files, bytes int64 }

// copyProgress shows how far a copy is. A copy that goes on for long is run as a dry run
// beside, which tells how much there is to do.
type copyProgress struct {
	statusLine
	verb  string
	start time.Time
	moved atomic.Int64              // bytes
	files int64                     // done; guarded by mu
	same  int64                     // bytes of those that were there; guarded by mu
	total atomic.Pointer[copyTotal] // nil if it is not known
	count func() (copyTotal, error) // nil if it cannot be known
}

// watchCopy returns the progress of a copy that starts now. count, which may be nil, finds
// out how much there is to do. The caller stops it.
func (a *app) watchCopy(ctx context.Context, verb string, when progressFlag, count func(context.Context) (copyTotal, error)) (*copyProgress, func()) {
	ctx, cancel := context.WithCancel(ctx)
	p := &copyProgress{statusLine: newStatusLine(), verb: verb, start: time.Now()}
	p.text = p.line
	if when == "never" || when == "auto" && (a.quiet || a.json) {
		return p, cancel
	}
	p.writeTo(a.stderr)
	p.from(copyFirst, plainFirst)
	if when == "always" {
		p.from(copyFirst, copyFirst)
		p.every = copyFirst
	}
	if count != nil {
		p.count = func() (copyTotal, error) { return count(ctx) }
	}
	p.run()
	return p, func() {
		cancel()
		p.stop()
	}
}

// done takes note of a file. mu is held.
func (p *copyProgress) done(t s4.Transfer) {
	p.files++
	if t.Same {
		p.same += t.Size
	}
}

// line says how far the copy is. mu is held.
func (p *copyProgress) line(now time.Time) string {
	if count := p.count; count != nil { // the first line: it is worth to know
		p.count = nil
		var gone copyTotal // of a move, what is done is not found any more
		if p.verb == "mv" {
			gone = copyTotal{p.files, p.moved.Load()}
		}
		p.wg.Go(func() {
			if total, err := count(); err == nil {
				total.files += gone.files
				total.bytes += gone.bytes
				p.total.Store(&total)
			}
		})
	}
	return copyLine(p.verb, copyTotal{p.files, p.moved.Load()}, p.same, p.total.Load(), now.Sub(p.start))
}

// copyLine says how far a copy is: same is how many bytes were there already, all what
// there is to do, or nil.
func copyLine(verb string, did copyTotal, same int64, all *copyTotal, after time.Duration) string {
	var rate float64
	if after > 0 {
		rate = float64(did.bytes) / after.Seconds()
	}
	var text parts
	if all == nil {
		text.add(true, "%s %s", verb, count(did.files, "file"))
		text.add(true, "%s", flags.FormatSize(did.bytes+same))
	} else {
		text.add(true, "%s %d/%s", verb, did.files, count(max(all.files, did.files), "file"))
		text.add(true, "%s of %s", flags.FormatSize(did.bytes+same), flags.FormatSize(max(all.bytes, did.bytes+same)))
	}
	text.add(rate >= 1, "%s/s", flags.FormatSize(int64(rate)))
	if all != nil && rate >= 1 && all.bytes > did.bytes+same {
		text.add(true, "ETA %s", seconds(float64(all.bytes-did.bytes-same)/rate))
	}
	return text.String()
}

// mixes reports whether what is written to stdout and the progress share a terminal.
func (a *app) mixes() bool {
	f, ok := a.stdout.(*os.File)
	return ok && isTerminal(f)
}

// countCopy returns a count for watchCopy: a dry run.
func countCopy(opts s4.CopyOptions, run func(context.Context, *s4.CopyOptions) error) func(context.Context) (copyTotal, error) {
	return func(ctx context.Context) (t copyTotal, err error) {
		opts.DryRun, opts.Moved, opts.Stdin = true, nil, strings.NewReader("")
		opts.Report = func(r s4.Transfer) {
			t.files++
			t.bytes += r.Size
		}
		err = run(ctx, &opts)
		return t, err
	}
}
