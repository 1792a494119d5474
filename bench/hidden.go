package bench

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"
)

// The names of the hidden subcommands.
const (
	measureName = "measure"
	bareName    = "bare"
	loadName    = "load"
	jobName     = "job"
	objectsName = "objects"
)

// hidden is a subcommand that s4-bench runs of itself, told in JSON what to do.
func hidden[T any](name string, run func(ctx context.Context, what T) error) *cobra.Command {
	return hiddenArgs(name, func(ctx context.Context, args []string) error {
		var what T
		if err := json.Unmarshal([]byte(args[0]), &what); err != nil {
			return err
		}
		return run(ctx, what)
	})
}

func hiddenArgs(name string, run func(ctx context.Context, args []string) error) *cobra.Command {
	return &cobra.Command{Use: name, Hidden: true, Args: cobra.MinimumNArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		if err := run(cmd.Context(), args); err != nil {
			return failure{err}
		}
		return nil
	}}
}

// itself is the command of a hidden subcommand.
func (e *Env) itself(name string, what any) []string {
	b, _ := json.Marshal(what) // a struct of numbers and strings
	return []string{e.self, name, string(b)}
}
