package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

func (a *app) shell() *cobra.Command {
	var server string
	cmd := &cobra.Command{
		Use:   "shell [KEY]",
		Short: "open a shell on the server that has a key",
		Long: `Open bash on the server that has KEY, in an empty directory and with the environment
of a command: $S4_FILE is the path of the key's file, $S4_KEY the key. With --server, a
shell on that server without a key. The exit code is the shell's.

When the shell ends, all that it has started is killed, in the background or not, and its
directory is removed. So it is when this command is killed or the connection is lost. An
idle shell stays, and takes no task slot.

If standard input is no terminal, bash reads its commands from there, without echo and
prompt. On a terminal, Enter ~ . at the beginning of a line ends a shell that hangs, and
~~ is one ~.`,
		Example: `  s4 shell s4://bucket/in/000
  s4 shell --server 2
  echo 'wc -c <$S4_FILE' | s4 shell s4://bucket/in/000`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := wantArgs(0, 1)(cmd, args); err != nil {
				return err
			}
			if len(args) == 0 && server == "" {
				return usagef("want KEY, or --server SERVER")
			}
			if len(args) == 1 && server != "" {
				return usagef("KEY says which server it is: leave out --server")
			}
			return nil
		},
		RunE: a.run(func(ctx context.Context, c *s4.Client, args []string) error {
			var key string
			opts := new(s4.ShellOptions)
			if len(args) == 1 {
				key = args[0]
				a.subject = key
			} else {
				a.subject = server
				i, err := findServer(c.Cluster(), server)
				if err != nil {
					return err
				}
				opts.Server = i
			}
			return a.openShell(ctx, c, key, opts)
		}),
	}
	cmd.Flags().StringVar(&server, "server", "", "open the shell on `SERVER`, an index or host:port as s4 config prints it, without a key")
	return cmd
}

// findServer returns the index of a server, which is given so or as the cluster file has
// it.
func findServer(cluster *s4.Cluster, server string) (int, error) {
	for i, s := range cluster.Servers {
		if s.String() == server {
			return i, nil
		}
	}
	i, err := strconv.Atoi(server)
	if err != nil || i < 0 || i >= len(cluster.Servers) {
		return 0, fmt.Errorf("no such server (see 's4 config': it is one of those, or an index from 0 to %d)", len(cluster.Servers)-1)
	}
	return i, nil
}

// openShell opens a shell for the user, and sets the exit code to its own.
func (a *app) openShell(ctx context.Context, c *s4.Client, key string, opts *s4.ShellOptions) error {
	return a.onTerminal(ctx, func(ctx context.Context, t *userTerminal) error {
		stdin := a.stdin
		if t != nil {
			opts.Terminal = &s4.Terminal{Type: t.kind, Size: t.size, Resized: t.resized}
			stdin = &escapes{r: stdin}
		}
		status, err := c.Shell(ctx, key, &leaving{ctx: ctx, r: stdin}, a.stdout, a.stderr, opts)
		if err != nil && t != nil {
			fmt.Fprint(a.stderr, "\r\n") // the cursor is anywhere
		}
		if errors.Is(err, errEscaped) {
			return errEscaped
		}
		if err != nil {
			return err
		}
		a.setExit(status)
		return nil
	})
}

// setExit takes over how a command has ended.
func (a *app) setExit(status s4.ExitStatus) {
	a.exit = status.Code
	if status.Signal != 0 {
		a.exit = 128 + status.Signal // as a shell says it
	}
}
