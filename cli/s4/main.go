// S4 is the command line of an s4 cluster; see package cli.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/nathants/s4/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(cli.Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
