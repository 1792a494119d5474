package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

func (a *app) health() *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "ask every server how it is",
		Long: `Ask every server, in parallel, with a limit of one second. Healthy means that it
answers, has the same cluster file and protocol version, and can write to its
data directory. Exit code 1 if any is unhealthy.

For each it prints the bytes in keys, the bytes free on its disk, and how many jobs are
suspended and the bytes that they keep there: see s4 jobs. A line that ends in "open" is
of a server that listens to other hosts without a secret: whoever can reach it can run
commands there. See s4 secret.`,
		Example: `  s4 health`,
		Args:    wantArgs(0, 0),
		RunE: a.run(func(ctx context.Context, c *s4.Client, _ []string) error {
			var sick error
			for _, h := range c.Health(ctx) {
				if h.Err != nil {
					sick = errReported
				}
				if err := a.line(healthLine(h)); err != nil {
					return err
				}
			}
			return sick
		}),
	}
}

func healthLine(h s4.ServerHealth) (string, any) {
	if h.Err != nil {
		reason := h.Err.Error()
		var e *s4.Error
		if errors.As(h.Err, &e) {
			reason = e.Reason()
			if errors.Is(e, s4.ErrUnavailable) || errors.Is(e, s4.ErrTimeout) {
				reason = e.Text // without the hint to see 's4 health'
			}
		}
		return fmt.Sprintf("unhealthy %s %s", h.Server, oneLine(reason)),
			map[string]any{"server": h.Server.String(), "healthy": false, "error": reason}
	}
	up := h.Uptime.Round(time.Second)
	open := ""
	if h.Open {
		open = " open"
	}
	return fmt.Sprintf("healthy %s version=%s uptime=%s keys=%d bytes=%d free=%d suspended_jobs=%d suspended=%d%s", h.Server, h.Version, up, h.Keys, h.Bytes, h.Free, h.SuspendedJobs, h.Suspended, open),
		map[string]any{"server": h.Server.String(), "healthy": true, "version": h.Version, "uptime_seconds": h.Uptime.Seconds(),
			"keys": h.Keys, "bytes": h.Bytes, "free": h.Free, "total": h.Total,
			"suspended_jobs": h.SuspendedJobs, "suspended": h.Suspended, "open": h.Open}
}
