package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

func (a *app) config() *cobra.Command {
	return &cobra.Command{
		Use:   "config",
		Short: "print the servers of the cluster file",
		Long: `Print the servers, one a line, as the cluster file lists them. Fails if that file, or
that of the secret if there is one, cannot be used. Asks no server.`,
		Example: `  s4 config`,
		Args:    wantArgs(0, 0),
		RunE: func(*cobra.Command, []string) error {
			cluster, err := s4.LoadCluster(a.conf)
			if err == nil {
				_, err = s4.LoadSecret(a.secretFile)
			}
			if err != nil {
				return failure{err}
			}
			for i, s := range cluster.Servers {
				o := map[string]any{"index": i, "server": s.String(), "fingerprint": fmt.Sprintf("%016x", cluster.Fingerprint())}
				if err := a.line(s.String(), o); err != nil {
					return failure{err}
				}
			}
			return nil
		},
	}
}
