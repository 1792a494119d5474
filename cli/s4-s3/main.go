// S4-s3 is s4 with the verbs that speak S3, "s4 import" and "s4 export", and what their
// tasks run on the servers. It is a program of its own because what speaks HTTP would make
// every s4 start later.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/nathants/s4/cli/s3"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(s3.Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
