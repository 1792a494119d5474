package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

// canceled runs op, cancels its context when ready has returned, and checks
// that op returns soon and says why.
func canceled(t *testing.T, op func(context.Context) error, ready func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(guarded(t))
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- op(ctx) }()
	ready()
	select {
	case err := <-done:
		t.Fatalf("ended before it was canceled: %v", err)
	default:
	}
	cancel()
	if err := <-done; !errors.Is(err, s4.ErrCanceled) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v is not ErrCanceled and context.Canceled", err)
	}
	// The guard has a deadline error, so "soon" is at least: not that.
	if guardedErr := context.Cause(ctx); !errors.Is(guardedErr, context.Canceled) {
		t.Errorf("it took until %v", guardedErr)
	}
}

// blocking yields some bytes and then blocks until freed.
type blocking struct {
	some    []byte
	blocked chan struct{}
	free    chan struct{}
}

func newBlocking(some []byte) *blocking {
	return &blocking{some, make(chan struct{}), make(chan struct{})}
}

func (b *blocking) Read(p []byte) (int, error) {
	if len(b.some) > 0 {
		n := copy(p, b.some)
		b.some = b.some[n:]
		return n, nil
	}
	close(b.blocked)
	<-b.free
	return 0, io.EOF
}

func (b *blocking) Write(p []byte) (int, error) {
	if b.blocked != nil {
		close(b.blocked)
		b.blocked = nil
	}
	<-b.free
	return len(p), nil
}

func TestCancelPut(t *testing.T) {
	c, _ := start(t, node.Config{})
	check := baseline(t, 0)
	for _, size := range []int64{-1, 100 << 20} {
		client := s4.NewClient(c.Cluster, nil)
		r := newBlocking(noise("x", 3<<20))
		canceled(t, func(ctx context.Context) error {
			return client.Put(ctx, "s4://b/1_k", r, size)
		}, func() { <-r.blocked })
		// The reader still blocks: nothing waits for it.
		clean(t, dataDirs(c))
		close(r.free)
		client.Close()
	}
	check()
	clean(t, dataDirs(c))
}

func TestCancelGet(t *testing.T) {
	c, setup := start(t, node.Config{})
	put(t, setup, "b/1_k", noise("x", 24<<20))
	setup.Close()
	check := baseline(t, 0)
	client := s4.NewClient(c.Cluster, nil)
	w := newBlocking(nil)
	blocked := w.blocked
	canceled(t, func(ctx context.Context) error {
		// Get waits for the Write that blocks.
		context.AfterFunc(ctx, func() { close(w.free) })
		_, err := client.Get(ctx, "s4://b/1_k", w)
		return err
	}, func() { <-blocked })
	client.Close()
	check()
}

// What a caller's writer got is the caller's again when Get or Eval has returned:
// with the race detector, this fails if either writes on.
func TestCancelWriters(t *testing.T) {
	c, setup := start(t, node.Config{})
	put(t, setup, "b/1_k", noise("x", 24<<20))
	setup.Close()
	check := baseline(t, 0)
	client := s4.NewClient(c.Cluster, nil)
	for name, run := range map[string]func(context.Context, io.Writer) error{
		"get": func(ctx context.Context, w io.Writer) error { _, err := client.Get(ctx, "s4://b/1_k", w); return err },
		"eval stdout": func(ctx context.Context, w io.Writer) error {
			_, err := client.Eval(ctx, "s4://b/1_k", "cat; sleep 100", w, io.Discard, nil)
			return err
		},
		"eval stderr": func(ctx context.Context, w io.Writer) error {
			_, err := client.Eval(ctx, "s4://b/1_k", "cat >&2; sleep 100", io.Discard, w, nil)
			return err
		},
	} {
		ctx, cancel := context.WithCancel(guarded(t))
		w := &ownedBuffer{enough: 1 << 20, cancel: cancel}
		if err := run(ctx, w); !errors.Is(err, s4.ErrCanceled) {
			t.Errorf("%s: %v", name, err)
		}
		if n := w.Len(); n < 1<<20 {
			t.Errorf("%s: canceled after %d bytes", name, n)
		}
		w.Reset()
		w.ended = true
		cancel()
	}
	client.Close()
	check()
}

// ownedBuffer is a buffer that cancels the transfer to it when it holds enough, and
// goes on to write slowly.
type ownedBuffer struct {
	bytes.Buffer
	enough int
	cancel func()
	ended  bool // whoever owns it uses it now
}

func (b *ownedBuffer) Write(p []byte) (int, error) {
	if b.Len() >= b.enough {
		b.cancel()
		time.Sleep(10 * time.Millisecond) // for whoever does not wait to return
	}
	if b.ended {
		panic("a write after the transfer's end")
	}
	return b.Buffer.Write(p)
}

// The rest of the transfers, held up in the network.
func TestCancelTransfers(t *testing.T) {
	c := nodetest.StartProxied(t, 3, node.Config{})
	setup := c.Client(t, nil)
	const size = 24 << 20
	src, dst := t.TempDir(), t.TempDir()
	for i := range 6 {
		put(t, setup, fmt.Sprintf("b/in/%d_k", i), noise("k", 1<<20))
		if err := os.WriteFile(filepath.Join(src, fmt.Sprintf("%d_f", i)), noise("f", size/4), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	big := filepath.Join(src, "1_big")
	if err := os.WriteFile(big, noise("f", size), 0o644); err != nil {
		t.Fatal(err)
	}
	setup.Close()
	check := baseline(t, 0)
	for _, op := range []struct {
		name string
		dir  nodetest.Direction
		run  func(context.Context, *s4.Client) error
	}{
		{"PutFile", nodetest.ToServer, func(ctx context.Context, c *s4.Client) error { return c.PutFile(ctx, big, "s4://b/new/1_k") }},
		{"PutTree", nodetest.ToServer, func(ctx context.Context, c *s4.Client) error {
			return c.PutTree(ctx, src, "s4://b/new", func(tr s4.Transfer) {
				if tr.Err == nil {
					t.Errorf("%s arrived", tr.Key)
				}
			})
		}},
		{"GetFile", nodetest.ToClient, func(ctx context.Context, c *s4.Client) error {
			_, err := c.GetFile(ctx, "s4://b/in/1_k", filepath.Join(dst, "f"))
			return err
		}},
		{"GetTree", nodetest.ToClient, func(ctx context.Context, c *s4.Client) error {
			return c.GetTree(ctx, "s4://b/in", dst, func(tr s4.Transfer) {
				if tr.Err == nil {
					t.Errorf("%s arrived", tr.Key)
				}
			})
		}},
	} {
		t.Run(op.name, func(t *testing.T) {
			for _, p := range c.Proxies {
				p.Set(nodetest.Fault{Action: nodetest.Stall, Dir: op.dir, At: 100_000, Channel: 'd'})
			}
			client := s4.NewClient(c.Cluster, nil)
			canceled(t, func(ctx context.Context) error { return op.run(ctx, client) }, func() {
				nodetest.Eventually(t, "the transfer is held up", func() bool { return c.Proxies[1].Hits() > 0 })
			})
			client.Close()
			for _, p := range c.Proxies {
				p.CutAll()
				p.Heal()
			}
			if left := localFiles(t, dst); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
	check()
	for i := range c.Nodes {
		for _, f := range nodetest.Files(t, c.Data(i)) {
			if filepath.Dir(f) != "b/in" {
				t.Errorf("left on server %d: %s", i, f)
			}
		}
	}
}

func TestCancelEval(t *testing.T) {
	c, setup := start(t, node.Config{})
	put(t, setup, "b/1_k", []byte("x"))
	setup.Close()
	check := baseline(t, 0)
	for _, cmd := range []string{"sleep %s", "sleep %[1]s & sleep %[1]s", "while echo x; do sleep 0.001; done | cat; sleep %s", "(trap '' TERM INT HUP; sleep %s)"} {
		client, mark := s4.NewClient(c.Cluster, nil), marker()
		canceled(t, func(ctx context.Context) error {
			_, err := client.Eval(ctx, "s4://b/1_k", fmt.Sprintf("sleep %s & "+cmd, mark, mark), io.Discard, io.Discard, nil)
			return err
		}, func() { awaitProcess(t, mark) })
		noProcess(t, mark)
		client.Close()
	}
	// A command that writes faster than its reader takes.
	client, mark := s4.NewClient(c.Cluster, nil), marker()
	w := newBlocking(nil)
	blocked := w.blocked
	canceled(t, func(ctx context.Context) error {
		context.AfterFunc(ctx, func() {
			defer close(w.free)
			noProcess(t, mark) // although the Write still blocks, which Eval waits for
		})
		_, err := client.Eval(ctx, "s4://b/1_k", "sleep "+mark+" & cat /dev/zero", w, io.Discard, nil)
		return err
	}, func() { <-blocked })
	client.Close()
	check()
	clean(t, dataDirs(c), "b/1_k")
}

// jobVerbs are the three verbs as one function each.
var jobVerbs = map[string]func(*s4.Client, context.Context, string, string, string, *s4.JobOptions) (s4.JobResult, error){
	"map":        (*s4.Client).Map,
	"map-to-n":   (*s4.Client).MapToN,
	"map-from-n": (*s4.Client).MapFromN,
}

// manyIn puts n keys below b/in and returns their names.
func manyIn(t testing.TB, c *s4.Client, n int) []string {
	t.Helper()
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("b/in/%d_k", i))
		put(t, c, names[i], fmt.Appendf(nil, "key %d\n", i))
	}
	return names
}

func TestCancelJobs(t *testing.T) {
	c, setup := start(t, node.Config{})
	names := manyIn(t, setup, 12)
	setup.Close()
	check := baseline(t, 3)
	for verb, run := range jobVerbs {
		t.Run(verb, func(t *testing.T) {
			client, mark := s4.NewClient(c.Cluster, nil), marker()
			// Some tasks have staged and pushed output already.
			cmd := fmt.Sprintf(`case $S4_TASK in 0|1) for i in 0_x 1_x 2_x; do echo $i > $i; echo $i; done;; *) sleep %s & sleep %s;; esac`, mark, mark)
			canceled(t, func(ctx context.Context) error {
				_, err := run(client, ctx, "s4://b/in", "s4://b/out", cmd, nil)
				return err
			}, func() {
				nodetest.Eventually(t, "tasks run on all servers", func() bool { return len(nodetest.Processes(mark)) >= 6 })
			})
			noProcess(t, mark)
			client.Close()
			clean(t, dataDirs(c), names...)
		})
	}
	check()
}

// A client that is gone without a word ends its job, too.
func TestLostClient(t *testing.T) {
	c := nodetest.StartProxied(t, 3, node.Config{MaxCPUJobs: 4})
	client := c.Client(t, nil)
	names := manyIn(t, client, 6)
	var dirs []string
	for i := range c.Nodes {
		dirs = append(dirs, c.Data(i))
	}
	for verb, run := range jobVerbs {
		mark := marker()
		done := make(chan error, 1)
		go func() {
			_, err := run(client, guarded(t), "s4://b/in", "s4://b/out", "sleep "+mark, nil)
			done <- err
		}()
		nodetest.Eventually(t, "tasks run", func() bool { return len(nodetest.Processes(mark)) >= 3 })
		for _, p := range c.Proxies {
			p.CutAll()
		}
		if err := <-done; err == nil {
			t.Errorf("%s succeeded", verb)
		}
		noProcess(t, mark)
		clean(t, dirs, names...)
	}
	mark := marker()
	done := make(chan error, 1)
	go func() {
		_, err := client.Eval(guarded(t), "s4://b/in/1_k", "sleep "+mark, io.Discard, io.Discard, nil)
		done <- err
	}()
	awaitProcess(t, mark)
	c.Proxies[1].CutAll()
	if err := <-done; !errors.Is(err, s4.ErrUnavailable) {
		t.Errorf("eval: %v", err)
	}
	noProcess(t, mark)
	clean(t, dirs, names...)
}

// A context that has ended before the call.
func TestCanceledBefore(t *testing.T) {
	c, client := start(t, node.Config{})
	put(t, client, "b/in/k", []byte("x"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dir := t.TempDir()
	for name, op := range map[string]func() error{
		"put":     func() error { return client.Put(ctx, "s4://b/new", bytes.NewReader(nil), 0) },
		"get":     func() error { _, err := client.Get(ctx, "s4://b/in/k", io.Discard); return err },
		"getfile": func() error { _, err := client.GetFile(ctx, "s4://b/in/k", dir+"/f"); return err },
		"stat":    func() error { _, err := client.Stat(ctx, "s4://b/in/k"); return err },
		"rm":      func() error { _, err := client.Remove(ctx, "s4://b/in/k", false); return err },
		"rm -r":   func() error { _, err := client.Remove(ctx, "s4://b/", true); return err },
		"eval": func() error {
			_, err := client.Eval(ctx, "s4://b/in/k", "true", io.Discard, io.Discard, nil)
			return err
		},
		"map":     func() error { _, err := client.Map(ctx, "s4://b/in", "s4://b/out", "cat", nil); return err },
		"puttree": func() error { return client.PutTree(ctx, dir, "s4://b/new", func(s4.Transfer) {}) },
		"gettree": func() error { return client.GetTree(ctx, "s4://b/in", dir, func(s4.Transfer) {}) },
		"ls": func() error {
			for _, err := range client.List(ctx, "s4://b", true) {
				return err
			}
			return nil
		},
	} {
		if err := op(); !errors.Is(err, s4.ErrCanceled) || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	clean(t, dataDirs(c), "b/in/k")
}
