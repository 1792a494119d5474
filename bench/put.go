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
func putWorkload(o Options) Workload {
	// One copy at a time, and for a peer the one it is checked by.
	room := o.Size
	if len(o.Peers) > 0 {
		room *= 2
	}
	return Workload{
		Name:  "put",
		Title: "a large file, and a large pipe, into the cluster",
		Rows: []Row{{
			Name:      "put-file",
			Work:      "put " + sizeText(o.Size) + " file",
			Yardstick: "bare sendfile -> recv, xxh64, fallocated file",
			Targets:   []Target{AtLeast(0.95, Throughput)},
			Rounds:    largeRounds,
			Source:    true,
			Room:      room,
			Start:     startPutFile,
		}, {
			Name:      "put-pipe",
			Work:      "put " + sizeText(o.Size) + " from a pipe",
			Yardstick: "cat | read, xxh64, send -> recv, xxh64, file",
			Targets:   []Target{AtLeast(0.9, Throughput)},
			Rounds:    largeRounds,
			Source:    true,
			Room:      o.Size,
			Start:     startPutPipe,
		}},
	}
}

const putKey = "s4://bench/put"

func startPutFile(ctx context.Context, e *Env) (*Comparison, error) {
	src, c, err := e.sourceAndCluster(ctx)
	if err != nil {
		return nil, err
	}
	server, out, err := e.startBareRecv(ctx, src.Sum)
	if err != nil {
		return nil, err
	}
	bare := Command{Args: e.bareClient(bareSendName, server, bareArgs(src.Path, src.Sum)...)}
	cmp := comparePuts(c, src, c.Command("cp", src.Path, putKey), server, bare, out)
	for _, p := range e.Peers {
		peer, err := p.put(e, src)
		if err != nil {
			return nil, err
		}
		cmp.Peers = append(cmp.Peers, peer)
	}
	return cmp, nil
}

func startPutPipe(ctx context.Context, e *Env) (*Comparison, error) {
	src, c, err := e.sourceAndCluster(ctx)
	if err != nil {
		return nil, err
	}
	// Nobody who reads from a pipe knows the size.
	server, out, err := e.startBareRecv(ctx, Sum{Size: -1})
	if err != nil {
		return nil, err
	}
	s4 := Script(`cat "$1" | "$2" cp - "$3"`, src.Path, e.S4, putKey)
	s4.Env = c.Env()
	bare := Script(`src=$1; shift; cat "$src" | "$@"`, append([]string{src.Path}, e.bareClient(bareSendName, server, "--pipe")...)...)
	return comparePuts(c, src, s4, server, bare, out), nil
}

// startBareRecv starts the yardstick's server for puts of what it is told of, and
// returns where the file will be.
func (e *Env) startBareRecv(ctx context.Context, announced Sum) (*bareServer, string, error) {
	out := filepath.Join(e.RowDir, "bare-put")
	server, err := e.startBare(ctx, bareRecvName, bareArgs(out, announced)...)
	return server, out, err
}

// comparePuts compares two commands that put the source.
func comparePuts(c *Cluster, src *Source, s4 Command, server *bareServer, bare Command, out string) *Comparison {
	want := treeOfFile(src.Sum)
	yardstick := localSide("bare", bare, out, want)
	yardstick.Servers = []int{server.pid}
	return &Comparison{
		S4:        c.side(s4, putKey, want).moving(src.Size, 1),
		Yardstick: yardstick.moving(src.Size, 1),
	}
}
