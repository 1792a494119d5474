package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// wantArgs checks that a verb has at least least arguments, and at most most unless that
// is negative. Its error says what the verb takes, in the words of its usage line.
func wantArgs(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && (most < 0 || len(args) <= most) {
			return nil
		}
		_, want, _ := strings.Cut(cmd.Use, " ")
		return wrongArgs(want, args)
	}
}

// wrongArgs is the error of a verb that takes what want says, or nothing if want is empty.
func wrongArgs(want string, args []string) error {
	if want == "" {
		return usagef("takes no argument, and got %q", args[0])
	}
	return usagef("want %s, got %s", want, count(int64(len(args)), "argument"))
}

// oneOf checks that there is at most one argument, and that it is one of the verb's
// ValidArgs.
func oneOf(least int) cobra.PositionalArgs {
	return cobra.MatchAll(wantArgs(least, 1), func(cmd *cobra.Command, args []string) error {
		if err := cobra.OnlyValidArgs(cmd, args); err != nil {
			return fmt.Errorf("%q is none of %s", args[0], strings.Join(cmd.ValidArgs, ", "))
		}
		return nil
	})
}

// elsewhere says how s4 does what a verb of aws s3, s5cmd or rclone does, or is "" if it is
// none of those.
func elsewhere(verb string) string {
	switch verb {
	case "mb", "rb", "mkdir", "rmdir":
		return "a bucket or a directory exists while it has a key"
	case "move", "moveto", "rename":
		return "use mv"
	case "copy", "copyto", "put":
		return "use cp"
	case "get":
		return "use cp, or cat"
	case "find", "lsf", "lsl":
		return "use ls, which has -r, -1, wildcards and --include"
	case "size":
		return "use du"
	case "delete", "deletefile", "del", "purge":
		return "use rm"
	case "version":
		return "use --version"
	case "run":
		return "use cp --from-file, or map to run a command for every key"
	}
	return ""
}

// unknownVerb is the error of a verb that there is not.
func unknownVerb(root *cobra.Command, verb string) error {
	if how := elsewhere(verb); how != "" {
		return fmt.Errorf("there is no verb %q: %s", verb, how)
	}
	// The nearest first, and none that may have no letter of verb.
	for d := 1; d <= 2 && d < len(verb); d++ {
		root.SuggestionsMinimumDistance = d
		if near := root.SuggestionsFor(verb); len(near) > 0 {
			return fmt.Errorf("unknown verb %q, did you mean %s?", verb, near[0])
		}
	}
	return fmt.Errorf("unknown verb %q", verb)
}

// wordHelp gives cobra's help verb the words of the other verbs, and an error for one that
// there is not. Root has its verbs already.
func wordHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "help" {
			cmd.Use, cmd.Short = "help [VERB]", "print the help of a verb"
			cmd.Args = func(_ *cobra.Command, args []string) error {
				if found, _, err := root.Find(args); len(args) > 0 && (err != nil || found == root) {
					return unknownVerb(root, args[0])
				}
				return nil
			}
		}
	}
}
