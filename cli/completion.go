package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (a *app) completion() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "print the completion script of a shell",
		Long: `Print the script that makes a shell complete verbs, flags, keys, buckets and the
ids of jobs, which it asks the cluster for. make install puts it where shells look.`,
		Example: `  source <(s4 completion bash)
  s4 completion zsh >"${fpath[1]}/_s4"
  s4 completion fish >~/.config/fish/completions/s4.fish`,
		Args:      oneOf(1),
		ValidArgs: []cobra.Completion{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := WriteCompletion(a.stdout, cmd.Root(), args[0]); err != nil {
				return failure{err}
			}
			return nil
		},
	}
}

// WriteCompletion writes the completion script of a command for bash, zsh or fish.
func WriteCompletion(w io.Writer, root *cobra.Command, shell string) error {
	switch shell {
	case "bash":
		if err := root.GenBashCompletionV2(w, true); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, bashWords, root.Name())
		return err
	case "zsh":
		return root.GenZshCompletion(w)
	case "fish":
		return root.GenFishCompletion(w, true)
	}
	return fmt.Errorf("no completion for %q", shell)
}

// bashWords stands in for a function of the package bash-completion, which may not be
// there: it joins the words that bash has split at : and = (COMP_WORDBREAKS).
const bashWords = `
if ! declare -F _get_comp_words_by_ref >/dev/null; then
    __%[1]s_init_completion()
    {
        local i word line=$COMP_LINE
        COMPREPLY=() words=()
        for ((i = 0; i <= COMP_CWORD; i++)); do
            word=${COMP_WORDS[i]}
            if ((i > 0)) && [[ $line != [[:blank:]]* && ($word == [:=]* || ${COMP_WORDS[i-1]} == *[:=]) ]]; then
                words[${#words[@]}-1]+=$word
            else
                words+=("$word")
            fi
            line=${line#*"$word"}
        done
        cword=$((${#words[@]} - 1)) cur=${words[${#words[@]}-1]}
        prev=; ((cword == 0)) || prev=${words[cword-1]}
    }
fi
`
