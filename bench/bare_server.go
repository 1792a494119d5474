package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// bareServer is a yardstick's server: a bare-send or bare-recv with --listen.
type bareServer struct {
	*daemon
	addr string
}

// startBare starts a hidden subcommand that prints its address.
func (e *Env) startBare(ctx context.Context, name string, args ...string) (_ *bareServer, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	// It has nothing to tidy up, and never looks up from its system calls.
	d, err := startDaemon(name, append([]string{e.self, name, "--listen"}, args...), syscall.SIGKILL, e.Dir, w)
	w.Close() // what is left is the server's
	if err != nil {
		return nil, err
	}
	// It prints a line or ends, and then the read below ends.
	unwatch := context.AfterFunc(ctx, func() { r.Close() })
	defer unwatch()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, errors.Join(fmt.Errorf("%s: address: %w: %s", name, err, tail(d.log)), d.stop())
	}
	e.AfterRow(d.stop)
	return &bareServer{daemon: d, addr: strings.TrimSpace(line)}, nil
}

// bareArgs are the arguments that tell a bare program of a file.
func bareArgs(file string, s Sum) []string {
	args := []string{"--size", strconv.FormatInt(s.Size, 10), "--sum", strconv.FormatUint(s.Hash, 10)}
	if file != "" {
		args = append(args, "--file", file)
	}
	return args
}

// bareClient returns the command of a hidden subcommand that connects.
func (e *Env) bareClient(name string, s *bareServer, args ...string) []string {
	return append([]string{e.self, name, "--connect", s.addr}, args...)
}
