package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// lz4Modes are what --compress takes, in the order of sides.
var lz4Modes = []string{"auto", "never", "always"}

// start makes the servers, each behind its link, and the sides.
func (l *lz4Case) start(ctx context.Context, e *Env) (_ []Side, err error) {
	t, err := l.tree(ctx, e)
	if err != nil {
		return nil, err
	}
	ends := []func() error{func() error { return e.dropTree(t) }}
	end := func() error {
		var errs []error
		for i := range ends {
			errs = append(errs, ends[len(ends)-1-i]())
		}
		return errors.Join(errs...)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, end())
		}
	}()
	network, err := e.startLinks(ctx, e.Servers, l.rate)
	if err != nil {
		return nil, err
	}
	ends = append(ends, network.close)
	c, err := e.startLinked(ctx, network)
	if err != nil {
		return nil, err
	}
	ends = append(ends, c.Close)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	ends = append(ends, null.Close)
	sides, err := l.sides(ctx, e, c, t, null)
	if err != nil {
		return nil, err
	}
	sides[0].Close = end
	return sides, nil
}

// sides makes a side for each mode, on a cluster that has no keys yet.
func (l *lz4Case) sides(ctx context.Context, e *Env, c *Cluster, t *Tree, null *os.File) ([]Side, error) {
	const in, out = "s4://bench/in/", "s4://bench/out/"
	side := Side{
		Servers: c.Pids,
		Bytes:   t.Bytes,
		Keys:    t.Files,
	}
	var command func(mode string) Command
	switch l.op {
	case "put":
		command = func(mode string) Command {
			return e.s4Command(c, "cp", "-q", "--compress", mode, filepath.Join(t.Dir, l.input(0)), in+l.input(0))
		}
		side.Check = func(ctx context.Context, _ []byte) error { return checkTree(ctx, t.TreeSum, c.Dirs(in)...) }
		side.Clean = func(ctx context.Context) error { return e.removeLinked(ctx, c, in) }
	case "get":
		command = func(mode string) Command {
			cmd := e.s4Command(c, "cp", "-q", "--compress", mode, in+l.input(0), "-")
			cmd.Stdout = null // s4 compares the xxh64 of what comes
			return cmd
		}
	case "shuffle":
		local := filepath.Join(e.Dir, "shuffled")
		want, err := e.shuffleBy(ctx, t, local, l.data.command(quote(e.S4)))
		if err := errors.Join(err, os.RemoveAll(local)); err != nil {
			return nil, err
		}
		command = func(mode string) Command {
			return e.s4Command(c, "map-to-n", "-q", "--compress", mode, in, out, l.data.command("s4"))
		}
		side.Check = func(ctx context.Context, _ []byte) error { return checkTree(ctx, want, c.Dirs(out)...) }
		side.Clean = func(ctx context.Context) error { return e.removeLinked(ctx, c, out) }
	}
	if l.op != "put" {
		_, _, err := e.s4Wall(ctx, c, "cp", "-q", "-r", t.Dir, in)
		if err == nil {
			err = checkTree(ctx, t.TreeSum, c.Dirs(in)...)
		}
		if err != nil {
			return nil, fmt.Errorf("put what is to be moved: %w", err)
		}
	}
	var sides []Side
	for _, mode := range lz4Modes {
		side.Name, side.Command = "s4, "+mode, command(mode)
		sides = append(sides, side)
	}
	return sides, nil
}
