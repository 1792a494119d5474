package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

func (a *app) cat() *cobra.Command {
	var choose chooser
	cmd := &cobra.Command{
		Use:   "cat KEY...",
		Short: "print keys, one after the other",
		Long: `Write keys to standard output, in the order they are given; those that a pattern
matches, sorted by name. A key that fails does not stop the others, and the exit code
is 1. Bytes are checked against the key's checksum, which is known to be wrong only
when they have been written: look at the exit code.`,
		Example: `  s4 cat s4://bucket/out/000
  s4 cat 's4://bucket/out/*' | sort`,
		Args: wantArgs(1, -1),
		RunE: a.run(func(ctx context.Context, c *s4.Client, args []string) error {
			if closedAtStart(a.stdout) {
				return errNoStdout
			}
			return unlessStuck(ctx, func() error {
				out := sink{w: a.stdout}
				return a.eachKey(ctx, c, "cat", &choose, args, func(key string) error {
					_, err := c.Get(ctx, key, &out)
					return out.mark(err)
				})
			})
		}),
	}
	choose.registerGlob(cmd.Flags())
	return cmd
}

// sink is standard output that remembers that a Write has failed.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if s.err == nil {
		s.err = err
	}
	return n, err
}

// mark returns err, as an error of standard output if it is one.
func (s *sink) mark(err error) error {
	if s.err != nil {
		return output(err)
	}
	return err
}
