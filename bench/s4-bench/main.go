// S4-bench compares an s4 cluster with what one would use without it; see
// package bench.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/nathants/s4/bench"
)

func main() {
	// A second signal changes nothing: the first one's tidying up is bounded.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// A pipe that nobody reads is an error of Write then, and no death at once that
	// would leave servers and files behind. The programs that are started do not
	// inherit this, as they would if it were ignored (os/signal).
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	code := bench.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
