package flags

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Complete sets what a shell completes the values of a command's flags with: words,
// by the name of the flag, files for those whose value is called FILE, PATH or DIR in
// their usage, and nothing for others. It sets none twice.
func Complete(cmd *cobra.Command, words map[string][]string) {
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		list, directive := words[f.Name], cobra.ShellCompDirectiveNoFileComp
		switch kind, _ := pflag.UnquoteUsage(f); kind {
		case "FILE", "PATH", "DIR":
			directive = cobra.ShellCompDirectiveDefault
		}
		// The error is that a function is set: a command has flags of its parent, too.
		_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(list, directive))
	})
}
