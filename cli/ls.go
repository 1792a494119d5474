package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

func (a *app) ls() *cobra.Command {
	var (
		choose chooser
		l      lister
		color  colorFlag
	)
	cmd := &cobra.Command{
		Use:   "ls [PREFIX...]",
		Short: "list buckets, or keys with a prefix",
		Long: `List the buckets, or the keys whose names begin with PREFIX, sorted by name over
all servers: time, size, name. Directories of keys are shown as PRE, unless -r.
A PREFIX with wildcards, as in 's4://bucket/2024-*/part_?', lists what it matches as a
whole: * and ? match no slash, ** any directories. With more than one PREFIX, names are
printed in full, and so they are with -r and no PREFIX, which stands for all buckets.
Exit code 1 if nothing matches.

Listings are printed as they come, in little memory, but for --sort and --reverse,
which hold all of it. Largest and newest come first. --since and --until take a time
as 2006-01-02, "2006-01-02 15:04" or RFC 3339, or how long ago it is, as 90m or 7d, and
leave directories out. With -l, servers read the checksum of every key.`,
		Example: `  s4 ls
  s4 ls s4://bucket/dir/
  s4 ls -r s4://bucket
  s4 ls -lh --sort size s4://bucket/out/
  s4 ls -r --since 1h --exclude '*.tmp' s4://bucket
  s4 ls -1 --full-path 's4://bucket/2024-*/part_?'`,
		RunE: a.runPrinting(func(ctx context.Context, c *s4.Client, args []string) error {
			if err := l.check(); err != nil {
				return err
			}
			l.app, l.choose, l.cluster, l.zero = a, &choose, c.Cluster(), choose.zero
			l.painter = color.painter(a.stdout)
			if len(args) == 0 && choose.from == "" || len(args) == 1 && args[0] == s4.Scheme {
				switch {
				case l.recursive:
					find := choose.find(true)
					find.Checksums, l.full = l.long, true
					return l.print(l.all(ctx, c, find), "", "no key matches")
				case l.summarize:
					return usagef("--summarize adds up keys: name a PREFIX, or see 's4 du -s'")
				case l.long:
					return usagef("--long is for keys: name a PREFIX, or list all with -r")
				}
				return l.print(c.Buckets(ctx), "", "there are no buckets")
			}
			if choose.from == "" {
				choose.zero = false // it is not of names that are read
			}
			names, err := choose.names(ctx, a, args)
			if err != nil {
				return err
			}
			find := choose.find(l.recursive)
			find.Checksums = l.long
			l.full = l.full || len(args) > 1 || choose.from != ""
			if len(args) == 1 {
				a.subject = args[0]
				return l.print(c.Find(ctx, args[0], find), args[0], "no key matches")
			}
			failed := failures{a: a, verb: "ls", listed: choose.from != ""}
			for name, err := range names {
				if err != nil {
					return err
				}
				err := l.print(c.Find(ctx, name, find), name, "no key matches")
				if err := failed.after(ctx, name, err); err != nil {
					return err
				}
			}
			return failed.err()
		}),
	}
	f := cmd.Flags()
	l.human.register(cmd)
	f.BoolVarP(&l.recursive, "recursive", "r", false, "list every key below")
	f.BoolVarP(&l.long, "long", "l", false, "with checksums (xxh64) and servers")
	f.BoolVarP(&l.one, "names-only", "1", false, "print names only")
	f.BoolVar(&l.full, "full-path", false, "print names in full, as s4 cp takes them")
	f.BoolVar(&l.summarize, "summarize", false, "print the number of keys and the sum of their sizes at the end")
	f.StringVar(&l.sort, "sort", "name", "sort by `WHAT`: name, size or time")
	f.BoolVar(&l.reverse, "reverse", false, "print in reverse order")
	f.Var(&l.since, "since", "list what was written at `TIME` or later")
	f.Var(&l.until, "until", "list what was written before `TIME`")
	color.register(f)
	choose.registerFilter(f)
	choose.registerGlob(f)
	choose.registerFrom(f, "prefixes")
	f.Lookup("null").Usage = "end names with a zero byte instead of a newline, also those that --from-file reads"
	return cmd
}

func stamp(t time.Time) string { return t.Local().Format(time.DateTime) }

// entryObject is an entry as --json prints it.
type entryObject struct {
	Key      text       `json:"key,omitempty"`
	Prefix   text       `json:"prefix,omitempty"` // of a directory or a bucket
	Dir      bool       `json:"dir,omitempty"`
	Size     *int64     `json:"size,omitempty"`
	Modified *time.Time `json:"modified,omitempty"`
	XXH64    hexSum     `json:"xxh64,omitzero"`
	Server   string     `json:"server,omitempty"`
}

func toEntryObject(e s4.Entry) entryObject {
	o := entryObject{Dir: e.Dir, XXH64: hexSum(e.XXH64)}
	if !e.Dir {
		o.Modified = &e.Modified
	}
	if e.Dir || !strings.Contains(e.Name, "/") {
		o.Prefix = text(s4.Scheme + e.Name)
	} else {
		o.Key, o.Size = text(s4.Scheme+e.Name), &e.Size
	}
	return o
}

// lister prints listings.
type lister struct {
	painter
	app     *app
	choose  *chooser
	cluster *s4.Cluster

	human        humanFlag
	recursive    bool
	long         bool
	one          bool // names only
	full         bool // names in full
	zero         bool // lines end in a zero byte
	summarize    bool
	sort         string
	reverse      bool
	since, until timeFlag
}

func (l *lister) check() error {
	if !slices.Contains([]string{"name", "size", "time"}, l.sort) {
		return usagef("--sort is name, size or time")
	}
	return nil
}

// print prints a listing of prefix as it comes, or sorted when it has come.
func (l *lister) print(entries iter.Seq2[s4.Entry, error], prefix, none string) error {
	out := bufio.NewWriter(l.app.stdout)
	buffered := *l.app
	buffered.stdout = out
	var (
		keys, size int64
		some       bool
		held       []s4.Entry
	)
	hold := l.sort != "name" || l.reverse
	for e, err := range entries {
		if err != nil {
			_ = out.Flush() // the listing has failed anyway
			return err
		}
		if !l.inTime(e) {
			continue
		}
		some = true
		if !e.Dir {
			keys++
			size += e.Size
		}
		if hold {
			held = append(held, e)
			continue
		}
		if err := l.line(&buffered, e, prefix); err != nil {
			return output(err)
		}
	}
	l.order(held)
	for _, e := range held {
		if err := l.line(&buffered, e, prefix); err != nil {
			return output(err)
		}
	}
	if some && l.summarize {
		plain := fmt.Sprintf("\nTotal Objects: %d\n   Total Size: %s", keys, l.human.size(size))
		if err := buffered.line(plain, usageObject{Bytes: size, Keys: keys}); err != nil {
			return output(err)
		}
	}
	if err := out.Flush(); err != nil {
		return output(err)
	}
	if !some {
		return errors.New(none)
	}
	return nil
}

// all yields the keys of all buckets.
func (l *lister) all(ctx context.Context, c *s4.Client, find *s4.FindOptions) iter.Seq2[s4.Entry, error] {
	return func(yield func(s4.Entry, error) bool) {
		for b, err := range c.Buckets(ctx) {
			if err != nil {
				yield(b, err)
				return
			}
			for e, err := range c.Find(ctx, s4.Scheme+b.Name+"/", find) {
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
	}
}

// inTime reports whether an entry was written in the time that was asked for.
func (l *lister) inTime(e s4.Entry) bool {
	since, until := time.Time(l.since), time.Time(l.until)
	switch {
	case since.IsZero() && until.IsZero():
		return true
	case e.Dir, e.Modified.Before(since):
		return false
	}
	return until.IsZero() || e.Modified.Before(until)
}

// order sorts entries, which are sorted by name, as the flags say.
func (l *lister) order(list []s4.Entry) {
	switch l.sort {
	case "size":
		slices.SortStableFunc(list, func(a, b s4.Entry) int { return cmp.Compare(b.Size, a.Size) })
	case "time":
		slices.SortStableFunc(list, func(a, b s4.Entry) int { return b.Modified.Compare(a.Modified) })
	}
	if l.reverse {
		slices.Reverse(list)
	}
}

// line prints an entry.
func (l *lister) line(a *app, e s4.Entry, prefix string) error {
	isKey := !e.Dir && strings.Contains(e.Name, "/")
	server := ""
	if isKey && l.long {
		server = l.cluster.Servers[l.cluster.Place(e.Name)].String()
	}
	if a.json {
		o := toEntryObject(e)
		o.Server = server
		return a.line("", o)
	}
	plain := l.plain(e, isKey, server, prefix)
	if l.zero {
		_, err := fmt.Fprint(a.stdout, plain, "\x00")
		return err
	}
	return a.line(plain, nil)
}

func (l *lister) plain(e s4.Entry, isKey bool, server, prefix string) string {
	name := s4.Scheme + e.Name
	if !l.full {
		if l.choose.glob(prefix) { // as if what is before the first wildcard had been given
			prefix = s4.GlobPrefix(prefix)
		}
		name = e.Shown(prefix, l.recursive)
	}
	if !isKey {
		name = l.paint(colorDir, name)
	}
	switch {
	case l.one:
		return name
	case prefix == "" && !isKey:
		return stamp(e.Modified) + " " + name
	}
	size, when := "PRE", ""
	if isKey {
		size, when = l.human.size(e.Size), stamp(e.Modified)
	}
	if !l.long {
		return fmt.Sprintf("%19s %10s %s", when, size, name)
	}
	sum := ""
	if isKey {
		sum = fmt.Sprintf("%016x", e.XXH64)
		if e.XXH64 == 0 {
			sum = "-" // something other than s4 wrote it
		}
	}
	width := 0
	for _, s := range l.cluster.Servers {
		width = max(width, len(s.String()))
	}
	return fmt.Sprintf("%19s %10s %-16s %-*s %s", when, size, sum, width, server, name)
}
