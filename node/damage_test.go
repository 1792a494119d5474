package node_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
)

func flipOnDisk(t *testing.T, path string, at int64) {
	t.Helper()
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 4
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

func TestFlippedBitOnDisk(t *testing.T) {
	c, client := start(t, node.Config{})
	for _, size := range []int{1, 5000, 3 << 20} {
		key := fmt.Sprintf("b/flip%d/1_k", size)
		put(t, client, key, noise(key, size))
		flipOnDisk(t, filepath.Join(c.Data(1), key), int64(size/2))
		if _, err := client.Get(guarded(t), "s4://"+key, io.Discard); !errors.Is(err, s4.ErrChecksum) {
			t.Errorf("get: %v", err)
		}
		dir := t.TempDir()
		if _, err := client.GetFile(guarded(t), "s4://"+key, filepath.Join(dir, "f")); !errors.Is(err, s4.ErrChecksum) {
			t.Errorf("getfile: %v", err)
		}
		put(t, client, fmt.Sprintf("b/flip%d/1_good", size), []byte("good"))
		var bad, good int
		if err := client.GetTree(guarded(t), fmt.Sprintf("s4://b/flip%d", size), dir, func(tr s4.Transfer) {
			switch {
			case tr.Err == nil:
				good++
			case errors.Is(tr.Err, s4.ErrChecksum):
				bad++
			default:
				t.Errorf("gettree: %v", tr.Err)
			}
		}); err != nil || good != 1 || bad != 1 {
			t.Errorf("gettree: %v, %d good, %d bad", err, good, bad)
		}
		if left := localFiles(t, dir); len(left) != 1 || filepath.Base(left[0]) != "1_good" {
			t.Errorf("left: %q", left)
		}
	}
}

// offsets are those worth a flip in a stream of n bytes: all of the first and
// last ones, where headers are, and some in the middle.
func offsets(n int64) []int64 {
	var list []int64
	for i := int64(0); i < n; {
		list = append(list, i)
		if i < 90 || i > n-40 {
			i++
		} else {
			i += 300
		}
	}
	return list
}

const flipTimeout = 150 * time.Millisecond

// A bit flips somewhere in a put. If the client is told that all is well, it
// is; else there is no key, or, when the flip was in the server's answer, a
// whole one.
func TestFlippedBitInPut(t *testing.T) {
	c := nodetest.StartProxied(t, 1, node.Config{IOTimeout: flipTimeout})
	direct := c.Client(t, nil)
	b := noise("put", 3000)
	proxy := c.Proxies[0]
	for _, dir := range []nodetest.Direction{nodetest.ToServer, nodetest.ToClient} {
		n := int64(20 + 8 + 12 + 7 + 8 + len(b) + 8 + 16)
		if dir == nodetest.ToClient {
			n = 20 + 8
		}
		for _, at := range offsets(n) {
			if dir == nodetest.ToServer && 40 <= at && at < 47 {
				continue // the key: TestFlippedBitInAKeysName
			}
			key := fmt.Sprintf("b/%d%04d", dir, at)
			proxy.Set(nodetest.Fault{Action: nodetest.Flip, Dir: dir, At: at, Bit: uint(at) % 7, Channel: 0})
			client := s4.NewClient(c.Cluster, &s4.Options{IOTimeout: flipTimeout})
			err := client.Put(guarded(t), "s4://"+key, bytes.NewReader(b), int64(len(b)))
			hits := proxy.Hits()
			proxy.Heal()
			client.Close()
			if hits == 0 && err == nil {
				t.Fatalf("flip %s at %d: never happened", dir, at)
			}
			names := nodetest.Files(t, c.Data(0))
			switch {
			case err == nil && len(names) == 0:
				t.Errorf("flip %s at %d: put succeeded, and there is no key", dir, at)
			case len(names) > 1 || len(names) == 1 && names[0] != key:
				t.Errorf("flip %s at %d: put %s returned %v and made %q", dir, at, key, err, names)
			case len(names) == 1 && err != nil && dir == nodetest.ToServer && !errors.Is(err, s4.ErrTimeout):
				t.Errorf("flip %s at %d: put failed with %v, but the key is there", dir, at, err)
			case len(names) == 1:
				if get(t, direct, key) != string(b) {
					t.Errorf("flip %s at %d: %v, and wrong bytes under the key", dir, at, err)
				}
			}
			for _, name := range names {
				if _, err := direct.Remove(guarded(t), "s4://"+name, false); err != nil {
					t.Error(err)
				}
			}
		}
	}
	clean(t, []string{c.Data(0)})
}

// A bit flips somewhere in a get. What the client gets without an error is
// right, down to what it is told of the key.
func TestFlippedBitInGet(t *testing.T) {
	c := nodetest.StartProxied(t, 1, node.Config{IOTimeout: flipTimeout})
	direct := c.Client(t, nil)
	b := noise("get", 3000)
	const key = "b/k"
	put(t, direct, key, b)
	want, err := direct.Stat(guarded(t), "s4://"+key)
	if err != nil {
		t.Fatal(err)
	}
	proxy, dir := c.Proxies[0], t.TempDir()
	for _, way := range []nodetest.Direction{nodetest.ToServer, nodetest.ToClient} {
		n := int64(20 + 8 + 4 + len(key))
		if way == nodetest.ToClient {
			n = int64(20 + 8 + 24 + 8 + len(b) + 8 + 16)
		}
		for _, at := range offsets(n) {
			path := filepath.Join(dir, "f")
			proxy.Set(nodetest.Fault{Action: nodetest.Flip, Dir: way, At: at, Bit: uint(at) % 7})
			client := s4.NewClient(c.Cluster, &s4.Options{IOTimeout: flipTimeout})
			o, err := client.GetFile(guarded(t), "s4://"+key, path)
			proxy.Heal()
			client.Close()
			if err != nil {
				if left := localFiles(t, dir); len(left) > 0 {
					t.Errorf("flip %s at %d: %v, and %q is left", way, at, err, left)
				}
				_ = os.Remove(path)
				continue
			}
			if fi, err := os.Stat(path); err != nil || fi.Size() != int64(len(b)) {
				t.Errorf("flip %s at %d: without an error the file got %d bytes, the key has %d (%v)", way, at, fi.Size(), len(b), err)
			} else if got, err := os.ReadFile(path); !bytes.Equal(got, b) {
				t.Errorf("flip %s at %d: wrong bytes without an error (%v)", way, at, err)
			}
			// Nothing vouches for the time.
			if o.Modified = want.Modified; o != want {
				t.Errorf("flip %s at %d: the key is said to be %+v, but is %+v", way, at, o, want)
			}
			if err := os.Remove(path); err != nil {
				t.Error(err)
			}
		}
	}
}

// One flipped bit can turn a key into another valid key.
func TestFlippedBitInAKeysName(t *testing.T) {
	c := nodetest.StartProxied(t, 1, node.Config{IOTimeout: flipTimeout})
	direct := c.Client(t, nil)
	put(t, direct, "b/a", []byte("bytes of a"))
	put(t, direct, "b/c", []byte("bytes of c"))
	lastOfKey := int64(20 + 8 + 4 + 2)
	c.Proxies[0].Set(nodetest.Fault{Action: nodetest.Flip, Dir: nodetest.ToServer, At: lastOfKey, Bit: 1})
	client := c.Client(t, &s4.Options{IOTimeout: flipTimeout})
	var got bytes.Buffer
	if _, err := client.Get(guarded(t), "s4://b/a", &got); err == nil && got.String() != "bytes of a" {
		t.Errorf("get b/a: %q without an error", got.String())
	}
	client.Close()
	c.Proxies[0].Set(nodetest.Fault{Action: nodetest.Flip, Dir: nodetest.ToServer, At: lastOfKey + 8, Bit: 1})
	client = c.Client(t, &s4.Options{IOTimeout: flipTimeout})
	if err := client.Put(guarded(t), "s4://b/x", strings.NewReader("x"), 1); err == nil {
		if names := list(t, direct, "b/"); !slices.Contains(names, "b/x") {
			t.Errorf("put b/x succeeded and made %q", names)
		}
	}
	c.Proxies[0].Set(nodetest.Fault{Action: nodetest.Flip, Dir: nodetest.ToServer, At: lastOfKey, Bit: 1, Channel: 'c'})
	if n, err := client.Remove(guarded(t), "s4://b/a", false); err == nil {
		if names := list(t, direct, "b/"); slices.Contains(names, "b/a") {
			t.Errorf("rm b/a removed %d, and left %q", n, names)
		}
	}
}

// After a listing that was damaged on the way, its connection is out of step
// and must not be used again.
func TestDamagedListing(t *testing.T) {
	c := nodetest.StartProxied(t, 1, node.Config{IOTimeout: 5 * time.Second})
	client := c.Client(t, &s4.Options{IOTimeout: 5 * time.Second})
	pad := strings.Repeat("x", 200)
	for i := range 700 { // more than one ENTRIES frame
		put(t, client, fmt.Sprintf("b/%03d%s", i, pad), nil)
	}
	// The high byte of the count in the first ENTRIES frame.
	c.Proxies[0].Set(nodetest.Fault{Action: nodetest.Flip, Dir: nodetest.ToClient, At: wire.PreambleSize + 8, Bit: 6, Channel: 'c'})
	var failed error
	for _, err := range client.List(guarded(t), "s4://b/", true) {
		failed = err
	}
	if failed == nil {
		t.Fatal("the damaged listing was accepted")
	}
	for range 3 {
		if o, err := client.Stat(guarded(t), "s4://b/000"+pad); err != nil || o.Size != 0 {
			t.Errorf("stat after it: %+v, %v", o, err)
		}
	}
}
