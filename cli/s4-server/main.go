// S4-server is one server of an s4 cluster; see packages server and node.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/nathants/s4/cli/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(server.Main(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
