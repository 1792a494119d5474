package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// guard bounds what must not hang. It measures nothing.
const guard = 30 * time.Second

func guarded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), guard)
	t.Cleanup(cancel)
	return ctx
}

// start runs three nodes and a client.
func start(t testing.TB, cfg node.Config) (*nodetest.Cluster, *s4.Client) {
	t.Helper()
	if cfg.MaxCPUJobs == 0 {
		cfg.MaxCPUJobs = 4
	}
	c := nodetest.Start(t, 3, cfg)
	return c, c.Client(t, &s4.Options{IOTimeout: cfg.IOTimeout})
}

// noise returns n bytes that depend on seed and do not compress.
func noise(seed string, n int) []byte {
	const shift = 1 << 16
	all := allNoise()
	at := int(xxhash.Sum64String(seed) % shift)
	for at+n > len(all) {
		all = append(all, all...) // rare and local
	}
	return bytes.Clone(all[at : at+n])
}

var allNoise = sync.OnceValue(func() []byte {
	b := make([]byte, 8<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b[:len(b):len(b)]
})

func put(t testing.TB, c *s4.Client, key string, b []byte) {
	t.Helper()
	if err := c.Put(guarded(t), "s4://"+key, bytes.NewReader(b), int64(len(b))); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

func get(t testing.TB, c *s4.Client, key string) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := c.Get(guarded(t), "s4://"+key, &b); err != nil {
		t.Errorf("get %s: %v", key, err)
	}
	return b.String()
}

// list returns all keys with a prefix.
func list(t testing.TB, c *s4.Client, prefix string) []string {
	t.Helper()
	names := []string{}
	for e, err := range c.List(guarded(t), "s4://"+prefix, true) {
		if err != nil {
			t.Fatalf("list %s: %v", prefix, err)
		}
		names = append(names, e.Name)
	}
	return names
}

// clean checks that nothing but the keys is in the data directories. What
// runs may take a moment to be cleaned up.
func clean(t testing.TB, dirs []string, keys ...string) {
	t.Helper()
	slices.Sort(keys)
	var found []string
	deadline := time.Now().Add(10 * time.Second)
	for {
		found = []string{}
		for _, d := range dirs {
			found = append(found, nodetest.Files(t, d)...)
			for _, s := range nodetest.Staged(t, d) {
				found = append(found, "_s4/jobs/"+s+"/")
			}
		}
		slices.Sort(found)
		if slices.Equal(found, keys) {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("in the data directories is %q, want %q", found, keys)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func dataDirs(c *nodetest.Cluster) []string {
	var dirs []string
	for i := range c.Nodes {
		dirs = append(dirs, c.Data(i))
	}
	return dirs
}

func localFiles(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func codeOf(err error) wire.Code {
	var e *wire.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

var markers atomic.Uint32

func init() { markers.Store(rand.Uint32()) }

// marker returns an argument for sleep that no other process has.
func marker() string { return fmt.Sprintf("1000.%d%d", os.Getpid(), markers.Add(1)) }

func noProcess(t testing.TB, mark string) {
	t.Helper()
	nodetest.Eventually(t, "no process of the command is left", func() bool { return len(nodetest.Processes(mark)) == 0 })
}

func awaitProcess(t testing.TB, mark string) {
	t.Helper()
	nodetest.Eventually(t, "the command runs", func() bool { return len(nodetest.Processes(mark)) > 0 })
}

// baseline counts the goroutines of s4 and returns a check that no more are
// left.
//
// Servers keep the connections of a shuffle to their peers: two to each, with
// a goroutine at either end.
func baseline(t testing.TB, servers int) (check func()) {
	kept := servers * (servers - 1) * 2 * 2
	var before int
	nodetest.Eventually(t, "the goroutines are steady", func() bool {
		before = len(nodetest.Goroutines())
		time.Sleep(20 * time.Millisecond)
		return len(nodetest.Goroutines()) == before
	})
	return func() {
		t.Helper()
		var now []string
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if now = nodetest.Goroutines(); len(now) <= before+kept {
				return
			}
		}
		t.Errorf("%d goroutines, %d before:\n%s", len(now), before, strings.Join(now, "\n\n"))
	}
}

// fakeServer is a cluster of one server that is not to be trusted.
func fakeServer(t testing.TB, serve func(net.Conn)) (*s4.Client, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(guard))
				serve(conn)
			})
		}
	})
	host, port, _ := net.SplitHostPort(ln.Addr().String())
	client := s4.NewClient(&s4.Cluster{Servers: []s4.Server{{Address: host, Port: port}}}, &s4.Options{IOTimeout: 2 * time.Second})
	t.Cleanup(func() {
		client.Close()
		ln.Close()
		wg.Wait()
	})
	return client, ln.Addr().String()
}

// childEnv says that a test runs in a process of its own.
const childEnv = "S4_NODE_TEST_CHILD"

// inChild runs this test alone in a process of its own.
func inChild(t *testing.T) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// dialServer opens a protocol connection to a server of a cluster.
func dialServer(ctx context.Context, cluster *s4.Cluster, index int, channel wire.Channel) (*xfer.Conn, error) {
	d := cluster.Dialers(s4.Secret{}, 0)(index)
	return d.Dial(ctx, channel)
}

// jobText returns a job's number as people see it.
func jobText(id uint64) string { return fmt.Sprintf("%016x", id) }

// jobNumber is the reverse of jobText.
func jobNumber(text string) (uint64, error) { return strconv.ParseUint(text, 16, 64) }
