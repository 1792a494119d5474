package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli/flags"
)

func (a *app) secret() *cobra.Command {
	return &cobra.Command{
		Use:   "secret [FILE]",
		Short: "make a secret for a cluster",
		Long: `Make a file with a random secret, which only you can read: FILE, or else
$S4_SECRET_FILE or ~/.s4.secret. A file that exists stays as it is.

The servers and clients of a cluster with a secret take none that does not have it. Copy
the file to all of them, in a way that nobody else can read, and name it to each with
--secret-file or $S4_SECRET_FILE: scripts/new_cluster.sh does that. The secret does not
encrypt what goes over the wire.

Prints the line that makes s4 and s4-server use it. Asks no server.`,
		Example: `  s4 secret
  eval "$(s4 secret /mnt/s4.secret)"`,
		Args: wantArgs(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			path := s4.SecretFile(a.secretFile)
			if len(args) == 1 {
				path = args[0]
			}
			if path == "" {
				home, err := os.UserHomeDir()
				if err != nil {
					return failure{fmt.Errorf("name a FILE: %w", err)}
				}
				path = filepath.Join(home, ".s4.secret")
			}
			path, err := filepath.Abs(path)
			if err == nil {
				err = s4.CreateSecret(path)
			}
			if err != nil {
				return failure{err}
			}
			a.note("made %s, which only you can read: copy it to all servers and clients", path)
			return a.line("export S4_SECRET_FILE="+flags.ShellQuote(path), map[string]any{"file": path})
		},
	}
}
