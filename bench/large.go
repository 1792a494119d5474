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

func startPutFile(ctx context.Context, e *Env) (*Comparison, error) {
	out := filepath.Join(e.RowDir, "bare-put")
	client, pids, err := e.startBare(bare{File: out, Sum: e.Source.Sum}, bare{Send: true, File: e.Source.Path, Sum: e.Source.Sum})
	if err != nil {
		return nil, err
	}
	cmp := e.comparePuts(e.Cluster.Command("cp", e.Source.Path, putKey), Command{Args: client}, out, pids)
	cmp.Peers, err = e.peers(ctx, "put")
	return cmp, err
}

func startPutPipe(_ context.Context, e *Env) (*Comparison, error) {
	// Nobody who reads from a pipe knows the size.
	out := filepath.Join(e.RowDir, "bare-put")
	client, pids, err := e.startBare(bare{File: out, Sum: Sum{Size: -1}}, bare{Send: true, Pipe: true})
	if err != nil {
		return nil, err
	}
	s4 := e.Cluster.Script(`cat "$2" | "$1" cp - "$3"`, e.Source.Path, putKey)
	bare := Script(`src=$1; shift; cat "$src" | "$@"`, append([]string{e.Source.Path}, client...)...)
	return e.comparePuts(s4, bare, out, pids), nil
}

// comparePuts compares two commands that put the source.
func (e *Env) comparePuts(s4, bare Command, bareOut string, barePids []int) *Comparison {
	want := treeOfFile(e.Source.Sum)
	return &Comparison{
		S4:        e.Cluster.side(s4, putKey, want).moving(e.Source.Size, 1),
		Yardstick: localSide("bare", barePids, bare, bareOut, want).moving(e.Source.Size, 1),
	}
}

func startGetFile(ctx context.Context, e *Env) (*Comparison, error) {
	s4Out, bareOut := filepath.Join(e.RowDir, "s4-get"), filepath.Join(e.RowDir, "bare-get")
	client, pids, err := e.startBareGet(ctx, bareOut)
	if err != nil {
		return nil, err
	}
	want := treeOfFile(e.Source.Sum)
	cmp := &Comparison{
		S4:        localSide("s4", e.Cluster.Pids, e.Cluster.Command("cp", getKey, s4Out), s4Out, want).moving(e.Source.Size, 1),
		Yardstick: localSide("bare", pids, Command{Args: client}, bareOut, want).moving(e.Source.Size, 1),
	}
	cmp.Peers, err = e.peers(ctx, "get")
	return cmp, err
}

// startGetNull has no results to check: both clients compare the xxh64 of what
// came with that of the source, and fail if they differ.
func startGetNull(ctx context.Context, e *Env) (*Comparison, error) {
	client, pids, err := e.startBareGet(ctx, "")
	if err != nil {
		return nil, err
	}
	cmd := e.Cluster.Command("cp", getKey, "-")
	cmd.Discard = true
	return &Comparison{
		S4:        Side{Name: "s4", Servers: e.Cluster.Pids, Command: cmd, Bytes: e.Source.Size, Keys: 1},
		Yardstick: Side{Name: "bare", Servers: pids, Command: Command{Args: client}, Bytes: e.Source.Size, Keys: 1},
	}, nil
}

// startBareGet puts the key, unless another row has, and starts the yardstick's
// server. Both sides send the very same pages: how a file lies in the host's memory
// makes more of a difference than what is compared.
func (e *Env) startBareGet(ctx context.Context, out string) (client []string, pids []int, err error) {
	path := e.Cluster.Path(getKey)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if _, _, err := e.Cluster.s4(ctx, "cp", "-q", e.Source.Path, getKey); err != nil {
			return nil, nil, err
		}
	}
	if err := checkTree(ctx, treeOfFile(e.Source.Sum), path); err != nil {
		return nil, nil, err
	}
	return e.startBare(bare{Send: true, File: path, Sum: e.Source.Sum}, bare{File: out, Sum: e.Source.Sum})
}
