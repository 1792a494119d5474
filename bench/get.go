package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// getWorkload is a large key out of the cluster.
func getWorkload() Workload {
	// Alive are the source, which every row has, the key, which s4 and the
	// yardstick send, what each peer sends, and one copy at a time.
	return Workload{
		Name:  "get",
		Title: "a large key out of the cluster, to a file and to nowhere",
		Rows: []Row{{
			Name:      "get-file",
			Work:      "get {size} to a file",
			Yardstick: "bare sendfile -> recv, xxh64, fallocated file",
			Targets:   []Target{AtLeast(0.95, Throughput), AtMost(1.1, ServerCPU)},
			Rounds:    largeRounds,
			Source:    true,
			Room:      func(o Options) int64 { return int64(2+len(o.Peers)) * o.Size },
			Start:     func(ctx context.Context, e *Env) ([]Side, error) { return startGet(ctx, e, true) },
		}, {
			Name:      "get-null",
			Work:      "get {size} to - > /dev/null",
			Yardstick: "bare sendfile -> recv, xxh64",
			Targets:   []Target{AtLeast(0.95, Throughput), AtMost(1.1, ServerCPU)},
			Rounds:    largeRounds,
			Source:    true,
			Room:      func(o Options) int64 { return o.Size },
			Start:     func(ctx context.Context, e *Env) ([]Side, error) { return startGet(ctx, e, false) },
		}},
	}
}

const getKey = "s4://bench/get"

// startGet makes the sides of a get to a file, or to nothing.
func startGet(ctx context.Context, e *Env, toFile bool) ([]Side, error) {
	src, err := e.Source(ctx)
	if err != nil {
		return nil, err
	}
	c, err := e.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	if err := e.makeGetKey(ctx, c, src); err != nil {
		return nil, err
	}
	// Both sides send the very same pages: how a file lies in the host's memory
	// makes more of a difference than what is compared.
	server, err := e.startBare(ctx, bareSendName, bareArgs(c.Path(getKey), src.Sum)...)
	if err != nil {
		return nil, err
	}
	s4 := Side{
		Name:    "s4",
		Servers: c.Pids,
		Command: Command{Args: []string{e.S4, "cp", getKey, "-"}, Env: c.Env()},
		Bytes:   src.Size,
		Keys:    1,
	}
	yardstick := Side{
		Name:    "bare",
		Servers: []int{server.pid},
		Bytes:   src.Size,
		Keys:    1,
		Close:   server.stop,
	}
	if !toFile {
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err != nil {
			return []Side{s4, yardstick}, err
		}
		// Both clients compare the xxh64 of what came with that of the source
		// and fail if they differ: there is no file to look at.
		s4.Command.Stdout = null
		s4.Close = null.Close
		yardstick.Command = Command{Args: e.bareClient(bareRecvName, server, bareArgs("", src.Sum)...)}
		return []Side{s4, yardstick}, nil
	}
	out := filepath.Join(e.Dir, "s4-get")
	s4.Command.Args[3] = out
	s4.Check = func(context.Context, []byte) error { return checkFile(out, src.Sum) }
	s4.Clean = removeFile(out)
	bareOut := filepath.Join(e.Dir, "bare-get")
	yardstick.Command = Command{Args: e.bareClient(bareRecvName, server, bareArgs(bareOut, src.Sum)...)}
	yardstick.Check = func(context.Context, []byte) error { return checkFile(bareOut, src.Sum) }
	yardstick.Clean = removeFile(bareOut)
	sides := []Side{s4, yardstick}
	for _, p := range e.Peers {
		peer, err := p.get(ctx, e, src)
		if err != nil {
			return sides, err
		}
		sides = append(sides, peer)
	}
	return sides, nil
}

// makeGetKey puts the key that is got, unless another row has, and checks it.
func (e *Env) makeGetKey(ctx context.Context, c *Cluster, src *Source) error {
	if _, err := os.Stat(c.Path(getKey)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if _, _, err := e.run(ctx, Command{Args: []string{e.S4, "cp", src.Path, getKey}, Env: c.Env()}); err != nil {
		return fmt.Errorf("put what is to be got: %w", err)
	}
	return c.Check(getKey, src.Sum)
}
