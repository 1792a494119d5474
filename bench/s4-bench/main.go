// S4-bench compares an s4 cluster with what one would use without it; see
// package bench.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"s4/bench"
)

func main() {
	// A second signal changes nothing: the first one's tidying up is bounded.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := bench.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
