package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

func (a *app) eval() *cobra.Command {
	var (
		opts  s4.EvalOptions
		shell shellFlag
	)
	cmd := &cobra.Command{
		Use:   "eval KEY CMD",
		Short: "run a command over one key, where it lies",
		Long: `Run CMD with bash on the server that has KEY, with the key as standard input.
Standard output, standard error and the exit code are the command's own; a
command that a signal ended gives 128 plus the signal's number. As in map, bash is
left out where CMD needs none, unless --shell always is given.

The server compares KEY with its checksum. If it is damaged, that is an error, and
what the command has printed must not be trusted. --no-verify-input leaves that out:
for a command that reads a little of a large key, as head does.`,
		Example: `  s4 eval s4://bucket/in/000 'wc -l'
  s4 eval --no-verify-input s4://bucket/in/000 'head -c 100 | xxd'`,
		Args: wantArgs(2, 2),
		RunE: a.run(func(ctx context.Context, c *s4.Client, args []string) error {
			a.subject = args[0]
			opts.Bash = bool(shell)
			var status s4.ExitStatus
			err := unlessStuck(ctx, func() (err error) {
				status, err = c.Eval(ctx, args[0], args[1], a.stdout, a.stderr, &opts)
				return err
			})
			if err != nil { // status may still be written
				return err
			}
			a.setExit(status)
			return nil
		}),
	}
	registerNoVerify(cmd.Flags(), &opts.NoVerifyInput)
	shell.register(cmd.Flags())
	return cmd
}
