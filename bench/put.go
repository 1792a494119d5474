package bench

import (
	"context"
	"path/filepath"
)

// largeRounds is how many rounds a row has that moves much. Where a virtual machine
// gives free memory back to its host, a file of 1 GiB that meets pages to be had
// anew takes three times as long; that is every seventh one, by chance, or more.
const largeRounds = 9

// putWorkload is large files into the cluster.
func putWorkload() Workload {
	return Workload{
		Name:  "put",
		Title: "a large file, and a large pipe, into the cluster",
		Rows: []Row{{
			Name:      "put-file",
			Work:      "put {size} file",
			Yardstick: "bare sendfile -> recv, xxh64, fallocated file",
			Targets:   []Target{AtLeast(0.95, Throughput)},
			Rounds:    largeRounds,
			Source:    true,
			Room:      roomPutFile,
			Start:     startPutFile,
		}, {
			Name:      "put-pipe",
			Work:      "put {size} from a pipe",
			Yardstick: "cat | read, xxh64, send -> recv, xxh64, file",
			Targets:   []Target{AtLeast(0.9, Throughput)},
			Rounds:    largeRounds,
			Source:    true,
			Room:      func(o Options) int64 { return o.Size },
			Start:     startPutPipe,
		}},
	}
}

// roomPutFile is one copy at a time, and for a peer the one it is checked by.
func roomPutFile(o Options) int64 {
	if len(o.Peers) > 0 {
		return 2 * o.Size
	}
	return o.Size
}

func startPutFile(ctx context.Context, e *Env) ([]Side, error) {
	src, err := e.Source(ctx)
	if err != nil {
		return nil, err
	}
	s4, err := e.putSide(ctx, src, func(key string) Command {
		return Command{Args: []string{e.S4, "cp", src.Path, key}}
	})
	if err != nil {
		return nil, err
	}
	yardstick, err := e.barePutSide(ctx, src, src.Sum, func(s *bareServer) Command {
		return Command{Args: e.bareClient(bareSendName, s, bareArgs(src.Path, src.Sum)...)}
	})
	if err != nil {
		return nil, err
	}
	sides := []Side{s4, yardstick}
	for _, p := range e.Peers {
		peer, err := p.put(e, src)
		if err != nil {
			return sides, err
		}
		sides = append(sides, peer)
	}
	return sides, nil
}

func startPutPipe(ctx context.Context, e *Env) ([]Side, error) {
	src, err := e.Source(ctx)
	if err != nil {
		return nil, err
	}
	s4, err := e.putSide(ctx, src, func(key string) Command {
		return Script(`cat "$1" | "$2" cp - "$3"`, src.Path, e.S4, key)
	})
	if err != nil {
		return nil, err
	}
	// Nobody who reads from a pipe knows the size.
	unknown := Sum{Size: -1}
	yardstick, err := e.barePutSide(ctx, src, unknown, func(s *bareServer) Command {
		return Script(`src=$1; shift; cat "$src" | "$@"`, append([]string{src.Path}, e.bareClient(bareSendName, s, "--pipe")...)...)
	})
	if err != nil {
		return nil, err
	}
	return []Side{s4, yardstick}, nil
}

// putSide is the side of s4 that puts the source.
func (e *Env) putSide(ctx context.Context, src *Source, command func(key string) Command) (Side, error) {
	c, err := e.Cluster(ctx)
	if err != nil {
		return Side{}, err
	}
	const key = "s4://bench/put"
	cmd := command(key)
	cmd.Env = c.Env()
	return Side{
		Name:    "s4",
		Servers: c.Pids,
		Command: cmd,
		Bytes:   src.Size,
		Keys:    1,
		Check:   func(context.Context, []byte) error { return c.Check(key, src.Sum) },
		Clean:   func(ctx context.Context) error { return c.Remove(ctx, key, false) },
	}, nil
}

// barePutSide is the yardstick that puts the source. announced is what its
// server is told of it.
func (e *Env) barePutSide(ctx context.Context, src *Source, announced Sum, command func(*bareServer) Command) (Side, error) {
	out := filepath.Join(e.Dir, "bare-put")
	server, err := e.startBare(ctx, bareRecvName, bareArgs(out, announced)...)
	if err != nil {
		return Side{}, err
	}
	return Side{
		Name:    "bare",
		Servers: []int{server.pid},
		Command: command(server),
		Bytes:   src.Size,
		Keys:    1,
		Check:   func(context.Context, []byte) error { return checkFile(out, src.Sum) },
		Clean:   removeFile(out),
		Close:   server.stop,
	}, nil
}
