package cli

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli/flags"
)

func (a *app) sync() *cobra.Command {
	var (
		choose chooser
		opts   s4.SyncOptions

		progress progressFlag
	)
	cmd := &cobra.Command{
		Use:   "sync SRC DST",
		Short: "make a directory of keys like a local one, or the reverse",
		Long: `Copy what DST does not have, or has with another size. One of SRC and DST is a
local directory, the other a directory of keys; what is below SRC comes below DST. A
line is printed for each file that is copied or removed. A sync that was interrupted
can be repeated.

With --checksum, files and keys of the same size are compared by their xxh64, too, for
which the local files are read. Keys are immutable: one that differs from its file is an
error, unless --delete-changed removes it and writes it anew. Local files that differ
are replaced.

With --delete, what SRC does not have is removed from DST, after all is copied and if
nothing has failed. A SRC without a file or key is an error, and nothing is removed: it
may be a wrong name. --allow-empty insists.

--include and --exclude choose among paths below SRC and DST: what they leave out is
neither copied nor removed. With --from-file, a list has the paths below SRC to copy, as
'find . -type f' prints them, and all others stay as they are; it is not for --delete.`,
		Example: `  s4 sync dir s4://bucket/dir
  s4 sync s4://bucket/out out
  s4 sync --checksum --delete-changed dir s4://bucket/dir
  s4 sync -n --delete --exclude .git . s4://bucket/src`,
		Args: wantArgs(2, 2),
		RunE: a.run(func(ctx context.Context, c *s4.Client, args []string) error {
			if opts.Retries < 0 {
				return usagef("--retries must not be negative")
			}
			if err := refuseS3(args); err != nil {
				return err
			}
			opts.Filter, opts.DryRun = &choose.filter, choose.dryRun
			list, err := a.syncList(ctx, &choose, opts.Delete)
			if err != nil {
				return err
			}
			opts.AllowEmpty = opts.AllowEmpty || list != nil // what is missing is named
			return a.syncDirs(ctx, c, args[0], args[1], progress, list, opts)
		}),
	}
	f := cmd.Flags()
	progress.register(f)
	a.compress.register(f, "on the network")
	f.BoolVar(&opts.Checksum, "checksum", false, "compare what has the same size by its xxh64")
	f.BoolVar(&opts.DeleteChanged, "delete-changed", false, "remove keys that differ, and write them anew")
	f.BoolVar(&opts.Delete, "delete", false, "remove from DST what SRC does not have")
	f.BoolVar(&opts.AllowEmpty, "allow-empty", false, "let SRC have nothing")
	f.IntVar(&opts.Retries, "retries", defaultRetries, "try a transfer that breaks up to `N` more times")
	choose.registerDryRun(f)
	choose.registerFilter(f)
	choose.registerFrom(f, "paths below SRC")
	return cmd
}

// syncList makes the filter leave out what --from-file does not have. It returns the paths
// that it has, or nil without the flag.
func (a *app) syncList(ctx context.Context, choose *chooser, remove bool) (map[string]bool, error) {
	names, err := choose.names(ctx, a, nil)
	switch {
	case err != nil:
		return nil, err
	case choose.from == "":
		return nil, nil
	case remove:
		return nil, usagef("--delete is for all of a directory: leave it or --from-file off")
	}
	list := make(map[string]bool)
	_ = choose.filter.Only() // of an empty list, nothing
	for name, err := range names {
		if err != nil {
			return nil, err
		}
		if choose.filter.Only(name) != nil {
			return nil, usagef("--from-file has %q, which is no path of a file below SRC", name)
		}
		if name = strings.TrimPrefix(name, "./"); choose.filter.Match(name) { // --exclude counts, too
			list[name] = true
		}
	}
	return list, nil
}

// syncObject is one step of a sync as --json prints it.
type syncObject struct {
	Dryrun bool   `json:"dryrun,omitempty"`
	Action string `json:"action"` // upload, download or delete
	Src    text   `json:"src,omitempty"`
	Dst    text   `json:"dst"`
	Size   *int64 `json:"size,omitempty"`
}

// syncCounts counts the outcomes of a sync.
type syncCounts struct {
	copied, same, removed, skipped, errors, bytes int64

	failed failures
	out    error // of standard output
}

// syncDirs runs a sync and tells of it. list has the paths that must be in src, or is nil.
func (a *app) syncDirs(ctx context.Context, c *s4.Client, src, dst string, progress progressFlag, list map[string]bool, opts s4.SyncOptions) error {
	n := syncCounts{failed: failures{a: a, verb: "sync", listed: true}}
	up := strings.HasPrefix(dst, s4.Scheme)
	if opts.DryRun {
		progress = "never"
	}
	shown, stop := a.watchCopy(ctx, "sync", progress, func(ctx context.Context) (t copyTotal, err error) {
		dry := opts
		dry.DryRun, dry.Delete, dry.Checksum, dry.Moved = true, false, false, nil
		dry.Report = func(step s4.SyncStep) {
			t.files++
			t.bytes += step.Size
		}
		err = c.Sync(ctx, src, dst, &dry)
		return t, err
	})
	defer stop()
	opts.Moved = &shown.moved
	base := strings.TrimSuffix(src, "/") + "/"
	if up {
		base = strings.TrimSuffix(dst, "/") + "/"
	}
	opts.Report = func(step s4.SyncStep) {
		delete(list, strings.TrimPrefix(step.Key, base))
		shown.aside(func() {
			if !step.Removed {
				shown.done(step.Transfer)
			}
			a.syncStep(&n, up, opts.DryRun, step)
		})
	}
	a.subject = dst
	err := c.Sync(ctx, src, dst, &opts)
	stop()
	var e *s4.Error
	switch {
	case errors.As(err, &e) && e.Kind == s4.ErrBadRequest && e.Op == "sync":
		return usageError{errors.New(e.Text)}
	case errors.Is(err, s4.ErrNotFound) && e.Op == "sync":
		a.advice = "--allow-empty insists"
		if s4.IsGlob(src) {
			a.advice = "SRC is a directory: choose what is below it with --include"
		}
		return err
	case err != nil && !errors.Is(err, s4.ErrCanceled) && !n.failed.some:
		return err
	}
	if err == nil {
		for _, name := range slices.Sorted(maps.Keys(list)) {
			n.errors++
			n.failed.add(strings.TrimSuffix(src, "/")+"/"+name, errors.New("no such file, though --from-file has it"))
		}
	}
	n.failed.told.rest(a, "sync")
	verb := "copied"
	if opts.DryRun {
		verb = "would copy"
	}
	var p parts
	p.add(true, "%s %s, %s", verb, count(n.copied, "file"), flags.FormatSize(n.bytes))
	p.add(n.removed > 0, "%d removed", n.removed)
	p.add(n.same > 0, "%d there already", n.same)
	p.add(n.skipped > 0, "%d skipped", n.skipped)
	p.add(n.errors > 0, "%d failed", n.errors)
	a.note("%s", p.String())
	switch {
	case errors.Is(err, s4.ErrCanceled):
		return err
	case err != nil:
		a.report("sync", err)
		return errReported
	case n.failed.some:
		return errReported
	}
	return n.out
}

// syncStep takes note of one step. It is called by one goroutine at a time.
func (a *app) syncStep(n *syncCounts, up, dry bool, step s4.SyncStep) {
	local, key := step.Path, step.Key
	switch {
	case step.Same:
		n.same++
		return
	case step.Skip:
		n.skipped++
		a.note("s4: sync %s: skipped: %s", oneLine(local), oneLine(step.Err.Error()))
		return
	case errors.Is(step.Err, s4.ErrDiffers):
		n.errors++
		n.failed.some = true
		a.subject = key
		a.print("sync", key, "the key differs from "+local+" (--delete-changed removes it and writes it anew)")
		return
	case step.Err != nil:
		if !errors.Is(step.Err, s4.ErrCanceled) {
			n.errors++
		}
		n.failed.add(cmp.Or(key, local), step.Err)
		return
	}
	o := syncObject{Dryrun: dry, Action: "download", Src: text(key), Dst: text(local), Size: &step.Size}
	switch {
	case step.Removed:
		o = syncObject{Dryrun: dry, Action: "delete", Dst: text(key + local)} // one of them is empty
		n.removed++
	case up:
		o.Action, o.Src, o.Dst = "upload", text(local), text(key)
	}
	line := o.Action + ": " + printable(string(o.Dst))
	if !step.Removed {
		line = o.Action + ": " + printable(string(o.Src)) + " to " + printable(string(o.Dst))
		n.copied++
		n.bytes += step.Size
	}
	if dry {
		line = "(dryrun) " + line
	}
	if n.out == nil && (!a.quiet || a.json || dry) {
		n.out = a.line(line, o)
	}
}
