package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nathants/s4"
	"github.com/nathants/s4/wire"
)

// finishedFile lists the inputs of a shuffle that are done on this server. With it,
// --resume can tell an input that wrote nothing from one that never ran, and an input
// whose output is complete from one that has lost a file since. The first line is the
// outdir. Every other line is the path of an input below the job's base, a space, and
// the number of files it became. When the job is published, the file moves to
// _s4/shuffled and gets the job's name.
const finishedFile = "finished"

// finishedList writes such a file.
type finishedList struct {
	mu sync.Mutex
	f  *os.File
	w  *bufio.Writer // guarded by mu
}

func newFinishedList(dir, outdir string) (*finishedList, error) {
	f, err := createPrivate(filepath.Join(dir, finishedFile))
	if err != nil {
		return nil, storeError(withoutPath(err), "")
	}
	l := &finishedList{f: f, w: bufio.NewWriter(f)}
	_, _ = l.w.WriteString(outdir + "\n") // Flush returns the error
	return l, nil
}

// add records an input and how many files it became. close returns its error, if any.
func (l *finishedList) add(rel string, files int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = fmt.Fprintf(l.w, "%s %d\n", rel, files)
}

// cutFinished is the reverse of add.
func cutFinished(line string) (rel string, files int) {
	rel, number, _ := strings.Cut(line, " ") // names have no space
	files, _ = strconv.Atoi(number)
	return rel, files
}

func (l *finishedList) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return storeError(errors.Join(l.w.Flush(), l.f.Close()), "")
}

// keepFinished moves the list of a published job to _s4/shuffled, if there is one.
func (s *store) keepFinished(path, name string) error {
	s.lists.Lock()
	defer s.lists.Unlock()
	err := rename(path, s.sysPath(shuffledDir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return storeError(withoutPath(err), "")
	}
	return nil
}

// finishedInputs returns the inputs that shuffles into outdir have done, and how many
// files each became.
func (s *store) finishedInputs(outdir string) (map[string]int, error) {
	done := make(map[string]int)
	err := s.eachFinished(func(_, out string, lines *bufio.Scanner) error {
		for out == outdir && lines.Scan() {
			rel, files := cutFinished(lines.Text())
			done[rel] = files
		}
		return lines.Err()
	})
	return done, err
}

// eachFinished calls f for every list, with its path and outdir, and a
// scanner of its other lines.
func (s *store) eachFinished(f func(path, outdir string, lines *bufio.Scanner) error) error {
	s.lists.Lock()
	defer s.lists.Unlock()
	dir := s.sysPath(shuffledDir, "")
	list, err := os.ReadDir(dir)
	if err != nil {
		return withoutPath(err)
	}
	for _, e := range list {
		path := filepath.Join(dir, e.Name())
		if err := readFinished(path, f); err != nil {
			return fmt.Errorf("inputs that are done, of job %s: %w", e.Name(), withoutPath(err))
		}
	}
	return nil
}

func readFinished(path string, f func(path, outdir string, lines *bufio.Scanner) error) error {
	r, err := os.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	lines := bufio.NewScanner(r)
	if !lines.Scan() {
		return lines.Err()
	}
	return f(path, lines.Text(), lines)
}

// forgetFinished makes shuffles run anew for inputs whose whole output directory is
// removed with a prefix. That matters for inputs that wrote nothing: of all others,
// complete notices that output is missing.
func (s *store) forgetFinished(prefix string) error {
	return s.eachFinished(func(path, outdir string, lines *bufio.Scanner) error {
		if !strings.HasPrefix(outdir+"/", prefix) && !strings.HasPrefix(prefix, outdir+"/") {
			return nil
		}
		var kept strings.Builder
		kept.WriteString(outdir + "\n")
		all, left := 0, 0
		for lines.Scan() {
			all++
			rel, _ := cutFinished(lines.Text())
			if !strings.HasPrefix(outdir+"/"+rel+"/", prefix) {
				left++
				kept.WriteString(lines.Text() + "\n")
			}
		}
		switch {
		case lines.Err() != nil:
			return lines.Err()
		case left == 0:
			return os.Remove(path)
		case left == all:
			return nil
		}
		// Written in tmp until it is whole: the sweep at start empties that.
		tmp := s.sysPath(tmpDir, filepath.Base(path))
		if err := os.WriteFile(tmp, []byte(kept.String()), 0o600); err != nil {
			return err
		}
		return os.Rename(tmp, path)
	})
}

// complete returns those of the inputs that a shuffle into outdir has done
// whose output is all there, wherever in the cluster. Each server asks the others
// about its own inputs, so that all together look at each directory once.
func (n *Node) complete(ctx context.Context, outdir string) (map[string]bool, error) {
	finished, err := n.store.finishedInputs(outdir)
	if err != nil || len(finished) == 0 {
		return nil, err
	}
	rels := slices.Collect(maps.Keys(finished))
	there := make([]atomic.Int64, len(rels))
	errs := make([]error, len(n.cfg.Cluster.Servers))
	n.eachServer(func(peer int) { errs[peer] = n.countOn(ctx, peer, outdir, rels, there) })
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	done := make(map[string]bool)
	for i, rel := range rels {
		done[rel] = there[i].Load() >= int64(finished[rel])
	}
	return done, nil
}

// maxCountBytes is how many bytes of names one COUNT has: with one more it still is
// a frame.
const maxCountBytes = wire.MaxMessage / 2

// chunks cuts a list of directories into parts that fit into a frame.
func chunks(dirs []string) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		for len(dirs) > 0 {
			size, n := 0, 0
			for n < len(dirs) && size < maxCountBytes && n < wire.MaxCount {
				size += 4 + len(dirs[n])
				n++
			}
			if !yield(dirs[:n]) {
				return
			}
			dirs = dirs[n:]
		}
	}
}

// countOn adds to there how many keys a server has in the directory of each input.
func (n *Node) countOn(ctx context.Context, peer int, outdir string, rels []string, there []atomic.Int64) error {
	conn, err := n.dialPeer(ctx, peer)
	if err != nil {
		return atPeer(n.cfg.Cluster.Servers[peer], err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	dirs := make([]string, len(rels))
	for i, rel := range rels {
		dirs[i] = outdir + "/" + rel
	}
	first := 0
	for some := range chunks(dirs) {
		m := wire.Count{Dirs: some}
		if err := conn.Write(1, 0, &m); err != nil {
			return atPeer(n.cfg.Cluster.Servers[peer], err)
		}
		reply, err := conn.ReadReply(1)
		if err != nil {
			return atPeer(n.cfg.Cluster.Servers[peer], err)
		}
		counts, ok := reply.(*wire.Counts)
		if !ok || len(counts.Keys) != len(m.Dirs) {
			return atPeer(n.cfg.Cluster.Servers[peer], wire.Errorf(wire.CodeBadRequest, "unexpected %s frame", reply.Type()))
		}
		for i, keys := range counts.Keys {
			there[first+i].Add(int64(keys))
		}
		first += len(m.Dirs)
	}
	return nil
}

// atPeer says at which server an error that a job meets has happened.
func atPeer(at s4.Server, err error) error {
	e := *toWire(err)
	if e.Server == "" {
		e.Server = at.String()
	}
	e.Text = "look for output that exists: " + e.Text
	return &e
}
