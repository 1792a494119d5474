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
	var color colorFlag
	cmd := &cobra.Command{
		Use:   "health",
		Short: "ask every server how it is",
		Long: `Ask every server, in parallel, with a limit of one second. Healthy means that it
answers, has the same cluster file and protocol version, and can write to its
data directory. Exit code 1 if any is unhealthy.

For each it prints the bytes in keys, the bytes free on its disk, how many of its task
slots are in use, and how many tasks wait for one, how many transfers to other servers
run of how many that may, and how many jobs are suspended and the bytes that they keep
there: see s4 jobs. --json has more: bytes received and sent since the server was
started, and the machine's load and memory. s4 top shows that as it changes.

A line that ends in "open" is of a server that listens to other hosts without a secret:
whoever can reach it can run commands there. See s4 secret.`,
		Example: `  s4 health`,
		Args:    wantArgs(0, 0),
		RunE: a.run(func(ctx context.Context, c *s4.Client, _ []string) error {
			var sick error
			for _, h := range c.Health(ctx) {
				if h.Err != nil {
					sick = errReported
				}
				if err := a.line(healthLine(h, color.painter(a.stdout)), newHealthObject(h)); err != nil {
					return err
				}
			}
			return sick
		}),
	}
	color.register(cmd.Flags())
	return cmd
}

func healthLine(h s4.ServerHealth, p painter) string {
	if h.Err != nil {
		return fmt.Sprintf("%s %s %s", p.paint(colorBad, "unhealthy"), h.Server, oneLine(whySick(h.Err)))
	}
	open := ""
	if h.Open {
		open = " " + p.paint(colorLate, "open")
	}
	l := h.Load
	return fmt.Sprintf("%s %s version=%s uptime=%s keys=%d bytes=%d free=%d slots=%d/%d waiting=%d transfers=%d/%d suspended_jobs=%d suspended=%d%s",
		p.paint(colorGood, "healthy"), h.Server, h.Version, h.Uptime.Round(time.Second), h.Keys, h.Bytes, h.Free,
		l.Running, l.Slots, l.Waiting, l.Transfers, l.MaxTransfers, h.SuspendedJobs, h.Suspended, open)
}

// whySick says why a server is unhealthy.
func whySick(err error) string {
	e, ok := errors.AsType[*s4.Error](err)
	switch {
	case !ok:
		return err.Error()
	case errors.Is(e, s4.ErrUnavailable) || errors.Is(e, s4.ErrTimeout):
		return e.Text // without the hint to see 's4 health'
	}
	return e.Reason()
}

// healthObject is the health of a server as --json prints it.
type healthObject struct {
	Server        string  `json:"server"`
	Healthy       bool    `json:"healthy"`
	Version       string  `json:"version"`
	Uptime        float64 `json:"uptime_seconds"`
	Keys          int64   `json:"keys"`
	Bytes         int64   `json:"bytes"`
	Free          int64   `json:"free"`
	Total         int64   `json:"total"`
	Suspended     int64   `json:"suspended"`
	SuspendedJobs int64   `json:"suspended_jobs"`
	Open          bool    `json:"open"`
	Slots         int     `json:"slots"`
	Running       int     `json:"running"`
	Waiting       int64   `json:"waiting"`
	MaxTransfers  int     `json:"max_transfers"`
	Transfers     int     `json:"transfers"`
	Received      int64   `json:"received"`
	Sent          int64   `json:"sent"`
	Load          float64 `json:"load"`
	Available     int64   `json:"memory_available"`
	Memory        int64   `json:"memory"`
}

// sickObject is a server that is unhealthy as --json prints it.
type sickObject struct {
	Server  string `json:"server"`
	Error   text   `json:"error"`
	Healthy bool   `json:"healthy"` // false
}

func newHealthObject(h s4.ServerHealth) any {
	if h.Err != nil {
		return sickObject{Server: h.Server.String(), Error: text(whySick(h.Err))}
	}
	l := h.Load
	return healthObject{Server: h.Server.String(), Healthy: true, Version: h.Version, Uptime: h.Uptime.Seconds(),
		Keys: h.Keys, Bytes: h.Bytes, Free: h.Free, Total: h.Total, SuspendedJobs: h.SuspendedJobs, Suspended: h.Suspended, Open: h.Open,
		Slots: l.Slots, Running: l.Running, Waiting: l.Waiting, MaxTransfers: l.MaxTransfers, Transfers: l.Transfers,
		Received: l.Received, Sent: l.Sent, Load: l.Average, Available: l.Available, Memory: l.Memory}
}
