package bench

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// clientMemory is the most that a client may take, however many keys it moves.
const clientMemory = 64 << 20

// smallWorkload is many small keys at once.
func smallWorkload(o Options) Workload {
	row := func(name string, files, size, rounds int, targets ...Target) Row {
		_, way, _ := strings.Cut(name, "-")
		return Row{
			Name:      name,
			Work:      fmt.Sprintf("cp -r %s x %s %s", countText(files), sizeText(int64(size)), way),
			Yardstick: "cp -r on the local file system",
			Targets:   append([]Target{AtMost(3, Time)}, targets...),
			Rounds:    rounds,
			// The files, those of the cluster, and one copy at a time.
			Needs: Needs{Tree: randomFiles(files, size), Put: way == "out", Copies: 3},
			Start: func(_ context.Context, e *Env) (*Comparison, error) { return e.compareCopies(way) },
		}
	}
	few, many := o.count(2000), o.count(100_000)
	memory := Target{Metric: ClientPeak, Kind: OfS4, Max: clientMemory}
	return Workload{
		Name:  "small",
		Title: "many small files into the cluster, and out of it",
		Rows: []Row{
			row("small-in", few, 4<<10, 0),
			row("small-out", few, 4<<10, 0),
			row("tiny-in", many, 1<<10, longRounds, memory),
			row("tiny-out", many, 1<<10, longRounds, memory),
		},
	}
}

// compareCopies compares a copy of the tree into the cluster, or out of it, with a local
// copy, and with what one does by hand.
func (e *Env) compareCopies(way string) (*Comparison, error) {
	t, c := e.Tree, e.Cluster
	local, out := filepath.Join(e.RowDir, "local-copy"), filepath.Join(e.RowDir, "s4-copy")
	cmp := &Comparison{
		S4:        Side{Name: "s4", Servers: c.Pids, Command: c.Command("cp", "-r", t.Dir, inKeys), Out: inKeys, Want: t.TreeSum, Keys: t.Files},
		Yardstick: Side{Name: "cp -r", Command: Command{Args: []string{"cp", "-r", t.Dir, local}}, Out: local, Want: t.TreeSum, Keys: t.Files},
	}
	if way == "out" {
		cmp.S4.Command, cmp.S4.Out = c.Command("cp", "-r", inKeys, out), out
		return cmp, nil
	}
	tar, err := e.tarSide()
	if lacks := e.unlessNotHere(fmt.Sprintf("small: %s files by tar | nc | tar", countText(int(t.Files))), err); lacks != nil {
		return nil, lacks
	}
	if err == nil {
		cmp.Peers = []Side{tar}
	}
	return cmp, nil
}

// tarSide copies the tree over loopback as one does by hand.
func (e *Env) tarSide() (Side, error) {
	if _, err := exec.LookPath("tar"); err != nil {
		return Side{}, &NotHere{"there is no tar"}
	}
	// Every netcat has options of its own, and fails or not when asked for help.
	help, err := exec.Command("nc", "-h").CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return Side{}, &NotHere{"there is no nc"}
	}
	if !strings.Contains(string(help), "OpenBSD") {
		return Side{}, &NotHere{"nc is not that of OpenBSD"}
	}
	port, err := freePort()
	out := filepath.Join(e.RowDir, "tar-copy")
	// Sending is tried until the receiver listens.
	cmd := Script(`mkdir "$2"
		nc -l 127.0.0.1 "$3" </dev/null | tar -xf - -C "$2" &
		until tar -cf - -C "$1" . 2>/dev/null | nc -N 127.0.0.1 "$3"; do
			sleep 0.001
			kill -0 $! # it still waits
		done
		wait $!`, e.Tree.Dir, out, port)
	return Side{Name: "tar|nc|tar", Command: cmd, Out: out, Want: e.Tree.TreeSum, Keys: e.Tree.Files}, err
}
