package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

// largeRow is a row that moves the source.
func largeRow(o Options, name, work, yardstick string, copies int, start func(context.Context, *Env) (*Comparison, error), targets ...Target) Row {
	return Row{
		Name:      name,
		Work:      work,
		Yardstick: yardstick,
		Targets:   targets,
		Rounds:    largeRounds,
		Needs:     Needs{Source: true, Room: int64(copies) * o.Size},
		Start:     start,
	}
}

// putWorkload is large files into the cluster.
func putWorkload(o Options) Workload {
	size := sizeText(o.Size)
	// One copy at a time, and for a peer the one it is checked by.
	copies := 1 + min(1, len(o.Peers))
	return Workload{
		Name:  "put",
		Title: "a large file, and a large pipe, into the cluster",
		Rows: []Row{
			largeRow(o, "put-file", "put "+size+" file", "bare sendfile -> recv, xxh64, fallocated file", copies, startPutFile,
				AtLeast(0.95, Throughput)),
			largeRow(o, "put-pipe", "put "+size+" from a pipe", "cat | read, xxh64, send -> recv, xxh64, file", 1, startPutPipe,
				AtLeast(0.9, Throughput)),
		},
	}
}

// getWorkload is a large key out of the cluster.
func getWorkload(o Options) Workload {
	size := sizeText(o.Size)
	targets := []Target{AtLeast(0.95, Throughput), AtMost(1.1, ServerCPU)}
	// Alive are the key, which s4 and the yardstick send, what each peer sends, and
	// one copy at a time.
	return Workload{
		Name:  "get",
		Title: "a large key out of the cluster, to a file and to nowhere",
		Rows: []Row{
			largeRow(o, "get-file", "get "+size+" to a file", "bare sendfile -> recv, xxh64, fallocated file", 2+len(o.Peers), startGetFile, targets...),
			largeRow(o, "get-null", "get "+size+" to - > /dev/null", "bare sendfile -> recv, xxh64", 1, startGetNull, targets...),
		},
	}
}

const (
	putKey = "s4://bench/put"
	// getKey is shared by the rows, and not below s4://bench/, which goes with a row.
	getKey = "s4://large/get"
)

// compareLarge compares two commands that move the source.
func (e *Env) compareLarge(s4 Command, s4Out string, bare Command, bareOut string, barePids []int) *Comparison {
	side := func(name string, pids []int, cmd Command, out string) Side {
		return Side{Name: name, Servers: pids, Command: cmd, Out: out, Want: treeOfFile(e.Source.Sum), Bytes: e.Source.Size, Keys: 1}
	}
	return &Comparison{S4: side("s4", e.Cluster.Pids, s4, s4Out), Yardstick: side("bare", barePids, bare, bareOut)}
}

func startPutFile(ctx context.Context, e *Env) (*Comparison, error) {
	out := filepath.Join(e.RowDir, "bare-put")
	client, pids, err := e.startBare(bare{File: out, Sum: e.Source.Sum}, bare{Send: true, File: e.Source.Path, Sum: e.Source.Sum})
	if err != nil {
		return nil, err
	}
	cmp := e.compareLarge(e.Cluster.Command("cp", e.Source.Path, putKey), putKey, client, out, pids)
	cmp.Peers, err = e.peers(ctx, "put")
	return cmp, err
}

func startPutPipe(_ context.Context, e *Env) (*Comparison, error) {
	// Nobody who reads from a pipe knows the size.
	out := filepath.Join(e.RowDir, "bare-put")
	client, pids, err := e.startBare(bare{File: out, Sum: Sum{Size: -1}}, bare{Send: true, Pipe: true})
	s4 := e.Cluster.Script(`cat "$2" | "$1" cp - "$3"`, e.Source.Path, putKey)
	bare := Script(`src=$1; shift; cat "$src" | "$@"`, append([]string{e.Source.Path}, client.Args...)...)
	return e.compareLarge(s4, putKey, bare, out, pids), err
}

func startGetFile(ctx context.Context, e *Env) (*Comparison, error) {
	out, bareOut := filepath.Join(e.RowDir, "s4-get"), filepath.Join(e.RowDir, "bare-get")
	client, pids, err := e.startBareGet(ctx, bareOut)
	if err != nil {
		return nil, err
	}
	cmp := e.compareLarge(e.Cluster.Command("cp", getKey, out), out, client, bareOut, pids)
	cmp.Peers, err = e.peers(ctx, "get")
	return cmp, err
}

// startGetNull has no results to check: both clients compare the xxh64 of what
// came with that of the source, and fail if they differ.
func startGetNull(ctx context.Context, e *Env) (*Comparison, error) {
	client, pids, err := e.startBareGet(ctx, "")
	cmd := e.Cluster.Command("cp", getKey, "-")
	cmd.Discard = true
	return e.compareLarge(cmd, "", client, "", pids), err
}

// startBareGet puts the key, unless another row has, and starts the yardstick's
// server. Both sides send the very same pages: how a file lies in the host's memory
// makes more of a difference than what is compared.
func (e *Env) startBareGet(ctx context.Context, out string) (client Command, pids []int, err error) {
	path := e.Cluster.Path(getKey)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if _, _, err := e.Cluster.s4(ctx, "cp", "-q", e.Source.Path, getKey); err != nil {
			return Command{}, nil, err
		}
	}
	if err := checkTree(ctx, treeOfFile(e.Source.Sum), path); err != nil {
		return Command{}, nil, err
	}
	return e.startBare(bare{Send: true, File: path, Sum: e.Source.Sum}, bare{File: out, Sum: e.Source.Sum})
}
