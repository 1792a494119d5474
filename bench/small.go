package bench

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// clientMemory is the most that a client may take, however many keys it moves.
const clientMemory = 64 << 20

// smallWorkload is many small keys at once.
func smallWorkload(o Options) Workload {
	few, many := o.count(2000), o.count(100_000)
	memory := NoMore(clientMemory, ClientPeak)
	return Workload{
		Name:  "small",
		Title: "many small files into the cluster, and out of it",
		Rows: []Row{
			smallRow("small-in", startTreeIn, few, 4<<10, AtMost(3, Time)),
			smallRow("small-out", startTreeOut, few, 4<<10, AtMost(3, Time)),
			long(smallRow("tiny-in", startTreeIn, many, 1<<10, AtMost(3, Time), memory)),
			long(smallRow("tiny-out", startTreeOut, many, 1<<10, AtMost(3, Time), memory)),
		},
	}
}

// longRounds is how many rounds a row has that takes long.
const longRounds = 3

func long(r Row) Row {
	r.Rounds = longRounds
	return r
}

func smallRow(name string, start func(context.Context, *Env, *Tree, *Cluster) (*Comparison, error), files, size int, targets ...Target) Row {
	_, way, _ := strings.Cut(name, "-")
	return Row{
		Name:      name,
		Work:      fmt.Sprintf("cp -r %s x %s %s", countText(files), sizeText(int64(size)), way),
		Yardstick: "cp -r on the local file system",
		Targets:   targets,
		// The files, those of the cluster, and one copy at a time.
		Room: 3 * treeRoom(files, size),
		Start: func(ctx context.Context, e *Env) (*Comparison, error) {
			t, c, err := e.treeAndCluster(ctx, files, size)
			if err != nil {
				return nil, err
			}
			return start(ctx, e, t, c)
		},
	}
}

// startTreeIn copies a tree into the cluster.
func startTreeIn(_ context.Context, e *Env, t *Tree, c *Cluster) (*Comparison, error) {
	const prefix = "s4://bench/tree-in/"
	cmp := &Comparison{
		S4:        c.side(c.Command("cp", "-r", t.Dir, prefix), prefix, t.TreeSum),
		Yardstick: e.localCopy(t),
	}
	if tar, err := e.tarSide(t); err != nil {
		e.LeaveOut(fmt.Sprintf("small: %s files by tar | nc | tar", countText(int(t.Files))), err.Error())
	} else {
		cmp.Peers = []Side{tar}
	}
	return cmp, nil
}

// startTreeOut copies a tree out of the cluster.
func startTreeOut(ctx context.Context, e *Env, t *Tree, c *Cluster) (*Comparison, error) {
	const prefix = "s4://bench/tree-out/"
	if err := c.put(ctx, t.Dir, prefix, t.TreeSum); err != nil {
		return nil, err
	}
	out := filepath.Join(e.RowDir, "s4-copy")
	s4 := localSide("s4", c.Command("cp", "-r", prefix, out), out, t.TreeSum)
	s4.Servers = c.Pids
	return &Comparison{S4: s4, Yardstick: e.localCopy(t)}, nil
}

// localCopy is the yardstick that copies a tree.
func (e *Env) localCopy(t *Tree) Side {
	out := filepath.Join(e.RowDir, "local-copy")
	return localSide("cp -r", Command{Args: []string{"cp", "-r", t.Dir, out}}, out, t.TreeSum)
}

// tarSide copies a tree over loopback as one does by hand.
func (e *Env) tarSide(t *Tree) (Side, error) {
	for _, name := range []string{"tar", "nc"} {
		if _, err := exec.LookPath(name); err != nil {
			return Side{}, fmt.Errorf("there is no %s", name)
		}
	}
	// Every netcat has options of its own, and fails or not when asked for help.
	if help, _ := exec.Command("nc", "-h").CombinedOutput(); !strings.Contains(string(help), "OpenBSD") {
		return Side{}, fmt.Errorf("nc is not that of OpenBSD")
	}
	port, err := freePort()
	if err != nil {
		return Side{}, err
	}
	out := filepath.Join(e.RowDir, "tar-copy")
	// Sending is tried until the receiver listens.
	return localSide("tar|nc|tar", Script(`mkdir "$2"
		nc -l 127.0.0.1 "$3" </dev/null | tar -xf - -C "$2" &
		until tar -cf - -C "$1" . 2>/dev/null | nc -N 127.0.0.1 "$3"; do
			sleep 0.001
			kill -0 $! # it still waits
		done
		wait $!`, t.Dir, out, strconv.Itoa(port)), out, t.TreeSum), nil
}

// freePort returns a free port of loopback.
func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	_, text, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// cores is how many commands a local loop runs at once: as many as there are
// CPUs, on which s4 runs, too.
func cores() string { return strconv.Itoa(runtime.NumCPU()) }
