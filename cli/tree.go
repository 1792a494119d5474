package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

func (a *app) tree() *cobra.Command {
	t := treePrinter{app: a}
	cmd := &cobra.Command{
		Use:   "tree DIR...",
		Short: "print the keys below a directory as a tree",
		Long: `Print directories of keys, s4://bucket or s4://bucket/path, as trees. A DIR with
wildcards, as in 's4://bucket/2024-*', stands for all that it matches. Every directory
is listed by itself, so that -L 2 is quick however many keys there are below. Exit code
1 if there is no key.`,
		Example: `  s4 tree s4://bucket/in/
  s4 tree -L 1 s4://bucket
  s4 tree -d s4://bucket
  s4 tree 's4://bucket/2024-*'`,
		Args: wantArgs(1, -1),
		RunE: a.runPrinting(func(ctx context.Context, c *s4.Client, args []string) error {
			if t.levels < 0 {
				return usagef("--level %d: want 0 or more", t.levels)
			}
			t.c = c
			return t.all(ctx, args)
		}),
	}
	f := cmd.Flags()
	t.human.register(cmd)
	f.IntVarP(&t.levels, "level", "L", 0, "go down `N` levels only")
	f.BoolVarP(&t.dirsOnly, "directories", "d", false, "print directories only")
	t.choose.registerGlob(f)
	f.BoolVarP(&t.sizes, "size", "s", false, "print sizes")
	return cmd
}

// treePrinter prints a tree.
type treePrinter struct {
	app      *app
	c        *s4.Client
	choose   chooser
	human    humanFlag
	levels   int // 0: all
	dirsOnly bool
	sizes    bool

	title      string // to print before the first line
	dirs, keys int64
}

// all prints the trees of directories, and then how much they have.
func (t *treePrinter) all(ctx context.Context, names []string) error {
	out := bufio.NewWriter(t.app.stdout)
	failed := failures{a: t.app, verb: "tree"}
	buffered := *t.app
	buffered.stdout = out
	t.app = &buffered
	for _, name := range names {
		err := t.name(ctx, name)
		if ferr := output(out.Flush()); ferr != nil { // and before an error is printed
			err = ferr
		}
		if err := failed.after(ctx, name, err); err != nil {
			failed.a.subject = name
			return err
		}
	}
	if t.app.json || t.dirs+t.keys == 0 {
		return failed.err()
	}
	total := fmt.Sprintf("%d directories", t.dirs)
	if t.dirs == 1 {
		total = "1 directory"
	}
	if !t.dirsOnly {
		total += ", " + count(t.keys, "key")
	}
	if _, err := fmt.Fprintf(failed.a.stdout, "\n%s\n", total); err != nil {
		return err
	}
	return failed.err()
}

// name prints the trees of what a name stands for.
func (t *treePrinter) name(ctx context.Context, name string) error {
	if !t.choose.glob(name) {
		return t.top(ctx, name)
	}
	some := false
	for e, err := range t.c.Find(ctx, strings.TrimSuffix(name, "/"), t.choose.find(false)) {
		if err == nil && e.Dir {
			some = true
			err = t.top(ctx, s4.Scheme+e.Name)
		}
		if err != nil {
			return err
		}
	}
	if !some {
		return errors.New("it matches no directory of keys")
	}
	return nil
}

// top prints the whole tree of a directory.
func (t *treePrinter) top(ctx context.Context, dir string) error {
	dir = strings.TrimSuffix(dir, "/")
	t.title = dir + "\n"
	before := t.dirs + t.keys
	if err := t.print(ctx, dir+"/", "", 1); err != nil {
		return err
	}
	switch some := t.dirs+t.keys > before; {
	case !some && t.dirsOnly:
		return errors.New("no directory below it")
	case !some:
		return errors.New("no key below it")
	}
	return nil
}

// print prints what is in a directory, each line behind indent.
func (t *treePrinter) print(ctx context.Context, dir, indent string, level int) error {
	next, stop := iter.Pull2(t.c.Find(ctx, dir, nil))
	defer stop()
	one := func() (s4.Entry, bool, error) {
		for {
			e, err, ok := next()
			if err != nil || !ok || e.Dir || !t.dirsOnly {
				return e, ok, err
			}
		}
	}
	e, ok, err := one()
	for ok && err == nil {
		var (
			after s4.Entry
			more  bool
		)
		// The last entry of a directory is drawn in another way.
		if after, more, err = one(); err != nil {
			break
		}
		branch, below := "├── ", "│   "
		if !more {
			branch, below = "└── ", "    "
		}
		if err = t.line(e, dir, indent+branch); err != nil {
			return err
		}
		if e.Dir && (t.levels == 0 || level < t.levels) {
			if err = t.print(ctx, s4.Scheme+e.Name, indent+below, level+1); err != nil {
				return err
			}
		}
		e, ok = after, more
	}
	return err
}

// line prints one entry.
func (t *treePrinter) line(e s4.Entry, dir, branch string) error {
	size := ""
	if e.Dir {
		t.dirs++
	} else {
		t.keys++
		if t.sizes || bool(t.human) {
			size = fmt.Sprintf("[%10s]  ", t.human.size(e.Size))
		}
	}
	title := t.title
	t.title = ""
	return t.app.line(title+branch+size+e.Name[len(dir)-len(s4.Scheme):], toEntryObject(e))
}
