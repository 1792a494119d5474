package node_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

func TestCutInPut(t *testing.T) {
	c := nodetest.StartProxied(t, 1, node.Config{})
	direct := c.Client(t, nil)
	b := noise("cut", 2<<20)
	head := int64(20 + 8 + 12 + 3)
	for _, at := range []int64{0, 5, 20, 30, head, head + 8, head + 1000, 1 << 20, head + 8*8 + int64(len(b)), head + 8*8 + int64(len(b)) + 23} {
		for _, size := range []int64{int64(len(b)), -1} {
			c.Proxies[0].Set(nodetest.Fault{Action: nodetest.Cut, Dir: nodetest.ToServer, At: at})
			client := s4.NewClient(c.Cluster, nil)
			err := client.Put(guarded(t), "s4://b/k", bytes.NewReader(b), size)
			hits := c.Proxies[0].Hits()
			c.Proxies[0].Heal()
			client.Close()
			if hits == 0 {
				t.Fatalf("cut at %d never happened", at)
			}
			if !errors.Is(err, s4.ErrUnavailable) {
				t.Errorf("cut at %d: %v", at, err)
			}
			if names := list(t, direct, "b/"); len(names) > 0 {
				t.Errorf("cut at %d: %q is there", at, names)
			}
		}
	}
	clean(t, []string{c.Data(0)})
	// Not even open files keep the space.
	nodetest.Eventually(t, "no unnamed file is open", func() bool { return !openUnnamed(t, c.Data(0)) })
}

// openUnnamed reports whether this process holds an unnamed file in dir open.
func openUnnamed(t *testing.T, dir string) bool {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		to, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err == nil && strings.HasPrefix(to, dir) && strings.Contains(to, "/#") {
			return true
		}
	}
	return false
}

func TestCutInGet(t *testing.T) {
	c := nodetest.StartProxied(t, 1, node.Config{})
	direct := c.Client(t, nil)
	b := noise("cut", 2<<20)
	put(t, direct, "b/d/k", b)
	for _, at := range []int64{0, 10, 20, 25, 60, 5000, 1 << 20, int64(len(b)) + 20 + 8 + 24 + 8, int64(len(b)) + 20 + 8 + 24 + 8 + 23} {
		dir := t.TempDir()
		path := filepath.Join(dir, "f")
		if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		client := s4.NewClient(c.Cluster, nil)
		c.Proxies[0].Set(nodetest.Fault{Action: nodetest.Cut, Dir: nodetest.ToClient, At: at, Channel: 'd'})
		if _, err := client.GetFile(guarded(t), "s4://b/d/k", path); !errors.Is(err, s4.ErrUnavailable) {
			t.Errorf("getfile cut at %d: %v", at, err)
		}
		if _, err := client.Get(guarded(t), "s4://b/d/k", io.Discard); !errors.Is(err, s4.ErrUnavailable) {
			t.Errorf("get cut at %d: %v", at, err)
		}
		err := client.GetTree(guarded(t), "s4://b/d", dir, func(tr s4.Transfer) {
			if !errors.Is(tr.Err, s4.ErrUnavailable) {
				t.Errorf("gettree cut at %d: %v", at, tr.Err)
			}
		})
		if err != nil {
			t.Errorf("gettree cut at %d: %v", at, err)
		}
		c.Proxies[0].Heal()
		client.Close()
		if left := localFiles(t, dir); len(left) != 1 {
			t.Errorf("cut at %d left %q", at, left)
		}
		if got, _ := os.ReadFile(path); string(got) != "old" {
			t.Errorf("cut at %d replaced the old file by %d bytes", at, len(got))
		}
	}
}
