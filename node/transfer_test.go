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
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"s4"
	"s4/node"
	"s4/node/nodetest"
	"s4/wire"
)

// The proof that a get never copies a byte through the server: sendfile
// counts them all. It must not be skipped.
func TestGetIsSendfile(t *testing.T) {
	c, client := start(t, node.Config{})
	var total int64
	sizes := []int{0, 1, 4 << 10, 300 << 10, 1<<20 + 1, wire.MaxData, wire.MaxData + 5}
	want := map[string][]byte{}
	for i, n := range sizes {
		key := fmt.Sprintf("b/d/%d_k", i)
		want[key] = noise(key, n)
		put(t, client, key, want[key])
		total += int64(n)
	}
	dir := t.TempDir()
	for key, b := range want {
		if got := get(t, client, key); got != string(b) {
			t.Errorf("get %s: %d bytes, wrong or not all of %d", key, len(got), len(b))
		}
		path := filepath.Join(dir, "file")
		o, err := client.GetFile(guarded(t), "s4://"+key, path)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(path); !bytes.Equal(got, b) {
			t.Errorf("getfile %s: wrong bytes", key)
		}
		if o.Size != int64(len(b)) || o.XXH64 != xxhash.Sum64(b) {
			t.Errorf("%s: %+v", key, o)
		}
	}
	err := client.GetTree(guarded(t), "s4://b/d", dir, func(tr s4.Transfer) {
		if tr.Err != nil {
			t.Errorf("%s: %v", tr.Key, tr.Err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var sent, copied int64
	for _, n := range c.Nodes {
		sent += n.Stats().Sendfile.Load()
		copied += n.Stats().Copied.Load()
	}
	if sent != 3*total || copied != 0 {
		t.Errorf("sendfile moved %d bytes of %d, %d were copied", sent, 3*total, copied)
	}
}

// The same for the shuffle.
func TestShuffleIsSendfile(t *testing.T) {
	c, client := start(t, node.Config{})
	for i := range 3 {
		put(t, client, fmt.Sprintf("b/in/%d_k", i), noise("in", 100<<10))
	}
	cmd := `cat > data; for i in 0 1 2 3 4 5; do cp data ${i}_out; echo ${i}_out; done; : > 7; echo 7`
	res, err := client.MapToN(guarded(t), "s4://b/in/", "s4://b/out/", cmd, nil)
	if err != nil {
		t.Fatal(err)
	}
	var sent, copied int64
	for _, n := range c.Nodes {
		sent += n.Stats().Sendfile.Load()
		copied += n.Stats().Copied.Load()
	}
	// Of six files two belong to each server: four of them go elsewhere.
	if want := int64(3 * 4 * 100 << 10); res.Pushed != want || sent != want || copied != 0 {
		t.Errorf("%d bytes pushed, of them %d by sendfile, %d copied; want %d", res.Pushed, sent, copied, want)
	}
	if res.Keys != 21 || res.Tasks != 3 || res.Done != 3 {
		t.Errorf("%+v", res)
	}
	for i := range 3 {
		for _, f := range []string{"0_out", "5_out", "7"} {
			got := get(t, client, fmt.Sprintf("b/out/%d_k/%s", i, f))
			if f != "7" && got != string(noise("in", 100<<10)) || f == "7" && got != "" {
				t.Errorf("%d_k/%s has %d wrong bytes", i, f, len(got))
			}
		}
	}
}

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

// One flipped bit turns a key into another that is as good.
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
	c.Proxies[0].Set(nodetest.Fault{Action: nodetest.Flip, Dir: nodetest.ToClient, At: 20 + 8, Bit: 6, Channel: 'c'})
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

func TestStalledServer(t *testing.T) {
	c := nodetest.StartProxied(t, 1, node.Config{})
	direct := c.Client(t, nil)
	b := noise("stall", 1<<20)
	put(t, direct, "b/k", b)
	opts := &s4.Options{IOTimeout: 100 * time.Millisecond}
	dir := t.TempDir()
	for _, at := range []int64{0, 10, 22, 70, 100000} {
		c.Proxies[0].Set(nodetest.Fault{Action: nodetest.Stall, Dir: nodetest.ToClient, At: at})
		client := s4.NewClient(c.Cluster, opts)
		if _, err := client.Get(guarded(t), "s4://b/k", io.Discard); !errors.Is(err, s4.ErrTimeout) {
			t.Errorf("get, stalled at %d: %v", at, err)
		}
		if _, err := client.GetFile(guarded(t), "s4://b/k", filepath.Join(dir, "f")); !errors.Is(err, s4.ErrTimeout) {
			t.Errorf("getfile, stalled at %d: %v", at, err)
		}
		if at < 70 {
			if _, err := client.Stat(guarded(t), "s4://b/k"); !errors.Is(err, s4.ErrTimeout) {
				t.Errorf("stat, stalled at %d: %v", at, err)
			}
		}
		client.Close()
	}
	for _, at := range []int64{0, 10, 30} {
		c.Proxies[0].Set(nodetest.Fault{Action: nodetest.Stall, Dir: nodetest.ToServer, At: at})
		client := s4.NewClient(c.Cluster, opts)
		if err := client.Put(guarded(t), "s4://b/new", bytes.NewReader(b), -1); !errors.Is(err, s4.ErrTimeout) {
			t.Errorf("put, stalled at %d: %v", at, err)
		}
		client.Close()
	}
	c.Proxies[0].CutAll()
	c.Proxies[0].Heal()
	if left := localFiles(t, dir); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	clean(t, []string{c.Data(0)}, "b/k")
}

// pausing sleeps between the pieces it yields.
type pausing struct {
	r     io.Reader
	pause time.Duration
	left  int
}

func (p *pausing) Read(b []byte) (int, error) {
	if p.left > 0 {
		p.left--
		time.Sleep(p.pause)
	}
	return p.r.Read(b[:min(len(b), 100<<10)])
}

// A producer may pause for several timeouts.
func TestSlowProducer(t *testing.T) {
	const timeout = 500 * time.Millisecond // several pings, also on a busy machine
	_, client := start(t, node.Config{IOTimeout: timeout})
	b := noise("slow", 1<<20)
	for i, size := range []int64{-1, int64(len(b))} {
		key := fmt.Sprintf("b/%d_slow", i)
		if err := client.Put(guarded(t), "s4://"+key, &pausing{bytes.NewReader(b), 3 * timeout, 2}, size); err != nil {
			t.Errorf("put of %d bytes: %v", size, err)
		}
		if get(t, client, key) != string(b) {
			t.Error("wrong bytes")
		}
	}
}

// slowWriter sleeps in its first writes.
type slowWriter struct {
	w     io.Writer
	pause time.Duration
	left  int
}

func (s *slowWriter) Write(b []byte) (int, error) {
	if s.left > 0 {
		s.left--
		time.Sleep(s.pause)
	}
	return s.w.Write(b)
}

// So may a consumer, of a key, of a command's output, and of a listing.
func TestSlowConsumer(t *testing.T) {
	const timeout = 500 * time.Millisecond // several pings, also on a busy machine
	c, client := start(t, node.Config{IOTimeout: timeout})
	b := noise("slow", 24<<20) // more than sockets hold
	put(t, c.Client(t, nil), "b/k", b)
	var got bytes.Buffer
	if _, err := client.Get(guarded(t), "s4://b/k", &slowWriter{&got, 3 * timeout, 2}); err != nil {
		t.Errorf("get: %v", err)
	}
	if !bytes.Equal(got.Bytes(), b) {
		t.Error("get: wrong bytes")
	}
	got.Reset()
	if st, err := client.Eval(guarded(t), "s4://b/k", "cat", &slowWriter{&got, 3 * timeout, 2}, io.Discard); err != nil || st.Code != 0 {
		t.Errorf("eval: %+v, %v", st, err)
	}
	if !bytes.Equal(got.Bytes(), b) {
		t.Error("eval: wrong bytes")
	}
}

func TestSlowConsumerOfAListing(t *testing.T) {
	const timeout = 500 * time.Millisecond
	c := nodetest.Start(t, 1, node.Config{IOTimeout: timeout})
	client := c.Client(t, &s4.Options{IOTimeout: timeout})
	long := strings.Repeat(strings.Repeat("x", 200)+"/", 4)
	dir := filepath.Join(c.Data(0), "b", long)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	const keys = 8000 // of 800 bytes each: more than sockets hold
	for i := range keys {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05d", i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for _, err := range client.List(guarded(t), "s4://b/", true) {
		if err != nil {
			t.Fatalf("after %d of %d keys: %v", n, keys, err)
		}
		if n++; n == 1 {
			time.Sleep(3 * timeout) // as less does
		}
	}
	if n != keys {
		t.Errorf("%d keys of %d", n, keys)
	}
}

// Exactly one of two writers wins, and the other is told.
func TestWritersRaceOverTheNetwork(t *testing.T) {
	c, _ := start(t, node.Config{})
	clients := []*s4.Client{c.Client(t, nil), c.Client(t, nil)}
	reader := c.Client(t, nil)
	for round := range 200 {
		key := fmt.Sprintf("b/r%d/k", round)
		var wins, exists atomic.Int64
		var winner atomic.Int64
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for i, client := range clients {
			wg.Go(func() {
				b := noise(fmt.Sprint(i), 1000+i)
				size := int64(len(b))
				if round%2 == 0 {
					size = -1
				}
				<-begin
				switch err := client.Put(guarded(t), "s4://"+key, bytes.NewReader(b), size); {
				case err == nil:
					wins.Add(1)
					winner.Store(int64(i))
				case errors.Is(err, s4.ErrExists):
					exists.Add(1)
				default:
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		close(begin)
		wg.Wait()
		if wins.Load() != 1 || exists.Load() != 1 {
			t.Fatalf("round %d: %d won, %d were told it exists", round, wins.Load(), exists.Load())
		}
		i := int(winner.Load())
		if get(t, reader, key) != string(noise(fmt.Sprint(i), 1000+i)) {
			t.Fatalf("round %d: not the winner's bytes", round)
		}
	}
}

func TestManyClients(t *testing.T) {
	c, _ := start(t, node.Config{})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			client := s4.NewClient(c.Cluster, nil)
			defer client.Close()
			for k := range 4 {
				key := fmt.Sprintf("b/c%d/%d", i, k)
				put(t, client, key, noise(key, 64<<10))
				if get(t, client, key) != string(noise(key, 64<<10)) {
					t.Errorf("%s: wrong bytes", key)
				}
				other := fmt.Sprintf("b/c%d/%d", (i+1)%64, k)
				var b bytes.Buffer
				if _, err := client.Get(guarded(t), "s4://"+other, &b); err == nil && !bytes.Equal(b.Bytes(), noise(other, 64<<10)) {
					t.Errorf("%s: a part of a key was read", other)
				} else if err != nil && !errors.Is(err, s4.ErrNotFound) {
					t.Errorf("%s: %v", other, err)
				}
			}
		})
	}
	wg.Wait()
	client := c.Client(t, nil)
	if n := len(list(t, client, "b/")); n != 64*4 {
		t.Errorf("%d keys", n)
	}
}

// Connections that a client keeps for reuse outlive a rest, with the pings
// that come meanwhile, and a restart of the server.
func TestIdleConnections(t *testing.T) {
	const timeout = 100 * time.Millisecond
	dir := t.TempDir()
	c := nodetest.StartIn(t, dir, 1, node.Config{IOTimeout: timeout})
	client := c.Client(t, &s4.Options{IOTimeout: timeout})
	put(t, client, "b/k", []byte("x"))
	if _, err := client.Stat(guarded(t), "s4://b/k"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(4 * timeout) // the server pings
	if get(t, client, "b/k") != "x" {
		t.Error("wrong bytes after a rest")
	}
	if _, err := client.Stat(guarded(t), "s4://b/k"); err != nil {
		t.Error(err)
	}
	time.Sleep(4 * timeout)
	c.Stop()
	nodetest.StartIn(t, dir, 1, node.Config{IOTimeout: timeout})
	if get(t, client, "b/k") != "x" {
		t.Error("get after a rest and a restart of the server")
	}
	if _, err := client.Stat(guarded(t), "s4://b/k"); err != nil {
		t.Errorf("stat after a rest and a restart of the server: %v", err)
	}
}

func TestPutTreeOfALink(t *testing.T) {
	_, client := start(t, node.Config{})
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "real"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "real/f"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("f", filepath.Join(dir, "real/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, src := range []string{"real", "link", "link/"} {
		err := client.PutTree(guarded(t), filepath.Join(dir, strings.TrimSuffix(src, "/"))+strings.Repeat("/", strings.Count(src, "/")), "s4://b/", func(tr s4.Transfer) {
			if tr.Err != nil {
				t.Errorf("%s: %s: %v", src, tr.Path, tr.Err)
			}
		})
		if err != nil {
			t.Error(err)
		}
		if got := list(t, client, "b/"); strings.Join(got, " ") != "b/f b/link" {
			t.Errorf("%s: %q", src, got)
		}
		_, _ = client.Remove(guarded(t), "s4://b/", true)
	}
}
