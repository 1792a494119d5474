package flags

import (
	"strings"

	"github.com/spf13/pflag"
)

// OneDash returns args with two dashes before every long flag of f that has one,
// as Go's flag package writes them: -port 80 and -port=80 become --port. It leaves
// values of flags, and everything else that is not a long flag, as they are.
func OneDash(f *pflag.FlagSet, args []string) []string {
	out := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return append(out, args[i:]...)
		}
		flag, value := lookup(f, arg)
		if flag != nil && strings.TrimLeft(arg, "-") != flag.Shorthand && !strings.HasPrefix(arg, "--") {
			arg = "-" + arg
		}
		out = append(out, arg)
		if flag != nil && !value && flag.NoOptDefVal == "" && i+1 < len(args) {
			i++
			out = append(out, args[i])
		}
	}
	return out
}

// lookup returns the flag that arg names, with one dash or two or as a shorthand by
// itself, and whether arg holds its value, too. It returns nil for anything else.
func lookup(f *pflag.FlagSet, arg string) (flag *pflag.Flag, value bool) {
	name, ok := strings.CutPrefix(arg, "-")
	if !ok || name == "" {
		return nil, false
	}
	if len(name) == 1 {
		return f.ShorthandLookup(name), false
	}
	name, _, value = strings.Cut(strings.TrimPrefix(name, "-"), "=")
	return f.Lookup(name), value
}
