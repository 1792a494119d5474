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
	var (
		choose   chooser
		human    humanFlag
		sum      bool
		byServer bool
		depth    int
	)
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
		RunE: a.run(func(ctx context.Context, c *s4.Client, args []string) error {
			if depth >= 0 && byServer {
				return usagef("--by-server prints no directories: leave it or --max-depth off")
			}
			failed := failures{a: a, verb: "du"}
			one := func(name string) error {
				a.subject = name
				top := strings.Count(strings.TrimSuffix(strings.TrimPrefix(name, s4.Scheme), "/"), "/")
				line := func(name string, u s4.Usage) error {
					plain := fmt.Sprintf("%12s %8d %s", human.size(u.Bytes), u.Keys, name)
					return output(a.line(plain, usageObject{Name: text(name), Bytes: u.Bytes, Keys: u.Keys}))
				}
				var each func(string, s4.Usage) error
				if !sum && !byServer {
					each = func(dir string, u s4.Usage) error {
						if depth >= 0 && strings.Count(dir, "/")-1-top > depth || s4.Scheme+dir == name {
							return nil
						}
						return line(s4.Scheme+dir, u)
					}
				}
				servers, err := c.Usage(ctx, name, choose.find(true), each)
				if err != nil {
					return err
				}
				var total s4.Usage
				for i, u := range servers {
					total.Keys += u.Keys
					total.Bytes += u.Bytes
					if byServer {
						at := c.Cluster().Servers[i].String()
						plain := fmt.Sprintf("%12s %8d %s", human.size(u.Bytes), u.Keys, at)
						if err := a.line(plain, usageObject{Server: at, Bytes: u.Bytes, Keys: u.Keys}); err != nil {
							return output(err)
						}
					}
				}
				if total.Keys == 0 {
					return errors.New("no key matches")
				}
				return line(name, total)
			}
			if len(args) == 0 && choose.from == "" || len(args) == 1 && args[0] == s4.Scheme {
				sum = !byServer
				some := false
				for e, err := range c.Buckets(ctx) {
					if err == nil {
						err = one(s4.Scheme + e.Name)
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
			names, err := choose.names(a, args)
			if err != nil {
				return err
			}
			for name, err := range names {
				if err != nil {
					return err
				}
				err = one(name)
				var out *outputError
				if errors.As(err, &out) || ctx.Err() != nil {
					return err
				}
				if err != nil {
					failed.add(name, err)
				}
			}
			return failed.err()
		}),
	}
	f := cmd.Flags()
	human.register(cmd)
	f.BoolVarP(&sum, "summarize", "s", false, "print PREFIX only, not the directories below")
	f.IntVarP(&depth, "max-depth", "d", -1, "print directories down to `N` levels below PREFIX")
	f.BoolVar(&byServer, "by-server", false, "print what each server has, instead of directories")
	choose.registerFilter(f)
	choose.registerGlob(f)
	choose.registerFrom(f, "prefixes")
	return cmd
}

// usageObject is a line of du as --json prints it.
type usageObject struct {
	Name   text   `json:"name,omitempty"`
	Server string `json:"server,omitempty"`
	Bytes  int64  `json:"bytes"`
	Keys   int64  `json:"keys"`
}
