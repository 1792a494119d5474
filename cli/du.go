package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

func (a *app) du() *cobra.Command {
	var d duPrinter
	cmd := &cobra.Command{
		Use:   "du [PREFIX...]",
		Short: "add up the sizes of keys",
		Long: `Print bytes, keys and name of every directory of keys below PREFIX, and of PREFIX
itself, which as in ls is a prefix of names or a pattern. Without PREFIX, of every
bucket. The servers list every key for it. Exit code 1 if nothing matches.`,
		Example: `  s4 du -h
  s4 du -s s4://bucket/in/
  s4 du --by-server s4://bucket
  s4 du --exclude '*.tmp' 's4://bucket/2024-*/'`,
		RunE: a.runPrinting(func(ctx context.Context, c *s4.Client, args []string) error {
			d.app, d.c = a, c
			if d.depth >= 0 && d.byServer {
				return usagef("--by-server prints no directories: leave it or --max-depth off")
			}
			if len(args) == 0 && d.choose.from == "" || len(args) == 1 && args[0] == s4.Scheme {
				return d.buckets(ctx)
			}
			names, err := d.choose.names(ctx, a, args)
			if err != nil {
				return err
			}
			failed := failures{a: a, verb: "du", listed: d.choose.from != ""}
			for name, err := range names {
				if err != nil {
					return err
				}
				if err := failed.after(ctx, name, d.print(ctx, name)); err != nil {
					return err
				}
			}
			return failed.err()
		}),
	}
	f := cmd.Flags()
	d.human.register(cmd)
	f.BoolVarP(&d.sum, "summarize", "s", false, "print PREFIX only, not the directories below")
	f.IntVarP(&d.depth, "max-depth", "d", -1, "print directories down to `N` levels below PREFIX")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if d.depth < 0 && f.Changed("max-depth") {
			return usagef("--max-depth %d: want 0 or more", d.depth)
		}
		return nil
	}
	f.BoolVar(&d.byServer, "by-server", false, "print what each server has, instead of directories")
	d.choose.registerFilter(f)
	d.choose.registerGlob(f)
	d.choose.registerFrom(f, "prefixes")
	return cmd
}

// duPrinter prints sums of sizes.
type duPrinter struct {
	app      *app
	c        *s4.Client
	choose   chooser
	human    humanFlag
	sum      bool // names only, not the directories below
	byServer bool
	depth    int // of directories below a name; -1: any
}

// buckets prints the sum of every bucket.
func (d *duPrinter) buckets(ctx context.Context) error {
	d.sum = true
	some := false
	for e, err := range d.c.Buckets(ctx) {
		if err == nil {
			err = d.print(ctx, s4.Scheme+e.Name)
		}
		if err != nil {
			return err
		}
		some = true
	}
	if !some {
		return errors.New("there are no buckets")
	}
	return nil
}

// print prints what one name stands for.
func (d *duPrinter) print(ctx context.Context, name string) error {
	d.app.subject = name
	var each func(string, s4.Usage) error
	if !d.sum && !d.byServer {
		top := strings.Count(strings.TrimSuffix(strings.TrimPrefix(name, s4.Scheme), "/"), "/")
		each = func(dir string, u s4.Usage) error {
			if d.depth >= 0 && strings.Count(dir, "/")-1-top > d.depth {
				return nil
			}
			return d.line(usageObject{Prefix: text(s4.Scheme + dir), Bytes: u.Bytes, Keys: u.Keys})
		}
	}
	servers, err := d.c.Usage(ctx, name, d.choose.find(true), each)
	if err != nil {
		return err
	}
	total := usageObject{Prefix: text(name)}
	for i, u := range servers {
		total.Keys += u.Keys
		total.Bytes += u.Bytes
		if d.byServer {
			o := usageObject{Server: d.c.Cluster().Servers[i].String(), Bytes: u.Bytes, Keys: u.Keys}
			if err := d.line(o); err != nil {
				return err
			}
		}
	}
	if total.Keys == 0 {
		return errors.New("no key matches")
	}
	return d.line(total)
}

// line prints one sum.
func (d *duPrinter) line(o usageObject) error {
	name := string(o.Prefix) + o.Server // it has one of them
	return output(d.app.line(fmt.Sprintf("%12s %8d %s", d.human.size(o.Bytes), o.Keys, name), o))
}

// usageObject is a line of du as --json prints it.
type usageObject struct {
	Prefix text   `json:"prefix,omitempty"`
	Server string `json:"server,omitempty"`
	Bytes  int64  `json:"bytes"`
	Keys   int64  `json:"keys"`
}
