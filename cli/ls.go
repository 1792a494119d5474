package cli

import (
	"bufio"
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

func (a *app) ls() *cobra.Command {
	var recursive bool
	cmd := &cobra.Command{
		Use:   "ls [PREFIX]",
		Short: "list buckets, or keys with a prefix",
		Long: `List the buckets, or the keys whose names begin with PREFIX, sorted by name over
all servers: time, size, name. Directories of keys are shown as PRE, unless -r.
Exit code 1 if nothing matches.`,
		Example: `  s4 ls
  s4 ls s4://bucket/dir/
  s4 ls -r s4://bucket`,
		Args: cobra.MaximumNArgs(1),
		RunE: a.run(func(ctx context.Context, c *s4.Client, args []string) error {
			if len(args) == 0 || args[0] == s4.Scheme {
				return a.list(c.Buckets(ctx), func(e s4.Entry) string {
					return stamp(e.Modified) + " " + e.Name
				}, "there are no buckets")
			}
			a.subject = args[0]
			return a.list(c.List(ctx, args[0], recursive), func(e s4.Entry) string {
				name := e.Shown(args[0], recursive)
				if e.Dir {
					return fmt.Sprintf("%30s %s", "PRE", name)
				}
				return fmt.Sprintf("%s %10d %s", stamp(e.Modified), e.Size, name)
			}, "no key matches")
		}),
	}
	cmd.Flags().BoolVarP(&recursive, "recursive", "r", false, "list every key below")
	return cmd
}

func stamp(t time.Time) string { return t.Local().Format(time.DateTime) }

// entryObject is an entry as --json prints it.
type entryObject struct {
	Name     text       `json:"name"`
	Dir      bool       `json:"dir,omitempty"`
	Size     *int64     `json:"size,omitempty"`
	Modified *time.Time `json:"modified,omitempty"`
}

// list prints a listing as it comes.
func (a *app) list(entries iter.Seq2[s4.Entry, error], plain func(s4.Entry) string, none string) error {
	out := bufio.NewWriter(a.stdout)
	buffered := *a
	buffered.stdout = out
	n := 0
	for e, err := range entries {
		if err != nil {
			_ = out.Flush() // the listing has failed anyway
			return err
		}
		n++
		o := entryObject{Name: text(s4.Scheme + e.Name), Dir: e.Dir}
		if !e.Dir {
			o.Modified = &e.Modified
			if strings.Contains(e.Name, "/") {
				o.Size = &e.Size
			}
		}
		if err := buffered.line(plain(e), o); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("%s", none)
	}
	return nil
}
