package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

// getWorkload is a large key out of the cluster.
func getWorkload(o Options) Workload {
	// Alive are the source, which every row has, the key, which s4 and the
	// yardstick send, what each peer sends, and one copy at a time.
	return Workload{
		Name:  "get",
		Title: "a large key out of the cluster, to a file and to nowhere",
		Rows: []Row{{
			Name:      "get-file",
			Work:      "get " + sizeText(o.Size) + " to a file",
			Yardstick: "bare sendfile -> recv, xxh64, fallocated file",
			Targets:   []Target{AtLeast(0.95, Throughput), AtMost(1.1, ServerCPU)},
			Rounds:    largeRounds,
			Source:    true,
			Room:      int64(2+len(o.Peers)) * o.Size,
			Start:     startGetFile,
		}, {
			Name:      "get-null",
			Work:      "get " + sizeText(o.Size) + " to - > /dev/null",
			Yardstick: "bare sendfile -> recv, xxh64",
			Targets:   []Target{AtLeast(0.95, Throughput), AtMost(1.1, ServerCPU)},
			Rounds:    largeRounds,
			Source:    true,
			Room:      o.Size,
			Start:     startGetNull,
		}},
	}
}

// getKey is shared by the rows, and not below s4://bench/, which goes with a row.
const getKey = "s4://large/get"

func startGetFile(ctx context.Context, e *Env) (*Comparison, error) {
	src, c, server, err := e.startBareGet(ctx)
	if err != nil {
		return nil, err
	}
	want := treeOfFile(src.Sum)
	out, bareOut := filepath.Join(e.RowDir, "s4-get"), filepath.Join(e.RowDir, "bare-get")
	s4 := localSide("s4", c.Command("cp", getKey, out), out, want)
	s4.Servers = c.Pids
	bare := localSide("bare", Command{Args: e.bareClient(bareRecvName, server, bareArgs(bareOut, src.Sum)...)}, bareOut, want)
	bare.Servers = []int{server.pid}
	cmp := &Comparison{S4: s4.moving(src.Size, 1), Yardstick: bare.moving(src.Size, 1)}
	for _, p := range e.Peers {
		peer, err := p.get(ctx, e, src)
		if err != nil {
			return nil, err
		}
		cmp.Peers = append(cmp.Peers, peer)
	}
	return cmp, nil
}

// startGetNull has no results to check: both clients compare the xxh64 of what
// came with that of the source, and fail if they differ.
func startGetNull(ctx context.Context, e *Env) (*Comparison, error) {
	src, c, server, err := e.startBareGet(ctx)
	if err != nil {
		return nil, err
	}
	cmd, err := e.discard(c.Command("cp", getKey, "-"))
	if err != nil {
		return nil, err
	}
	s4 := Side{Name: "s4", Servers: c.Pids, Command: cmd}
	bare := Side{Name: "bare", Servers: []int{server.pid}, Command: Command{Args: e.bareClient(bareRecvName, server, bareArgs("", src.Sum)...)}}
	return &Comparison{S4: s4.moving(src.Size, 1), Yardstick: bare.moving(src.Size, 1)}, nil
}

// discard returns the command with its output to /dev/null.
func (e *Env) discard(cmd Command) (Command, error) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return cmd, err
	}
	e.AfterRow(null.Close)
	cmd.Stdout = null
	return cmd, nil
}

// startBareGet puts the key, unless another row has, and starts the yardstick's
// server. Both sides send the very same pages: how a file lies in the host's memory
// makes more of a difference than what is compared.
func (e *Env) startBareGet(ctx context.Context) (*Source, *Cluster, *bareServer, error) {
	src, c, err := e.sourceAndCluster(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	if _, err := os.Stat(c.Path(getKey)); errors.Is(err, os.ErrNotExist) {
		if _, _, err := c.s4(ctx, "cp", "-q", src.Path, getKey); err != nil {
			return nil, nil, nil, err
		}
	}
	if err := checkFile(c.Path(getKey), src.Sum); err != nil {
		return nil, nil, nil, err
	}
	server, err := e.startBare(ctx, bareSendName, bareArgs(c.Path(getKey), src.Sum)...)
	return src, c, server, err
}
