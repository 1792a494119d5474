// S4-ui is s4 with the page of "s4 ui", which starts it. It is a program of its own
// because what serves a page would make every s4 start later.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli"
	"github.com/nathants/s4/cli/ui"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	pages := cli.Pages{Open: ui.Open, New: func(ctx context.Context, c *s4.Client, host string, exposed bool) (cli.Page, error) {
		return ui.New(ctx, c, ui.Options{Host: host, Exposed: exposed})
	}}
	os.Exit(cli.MainUI(ctx, pages, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
