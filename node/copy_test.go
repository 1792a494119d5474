package node_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
)

func inode(t *testing.T, path string) (st unix.Stat_t) {
	t.Helper()
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(path, err)
	}
	return st
}

// A copy is the same bytes with the same time and checksum, on its own server a link.
func TestCopyKey(t *testing.T) {
	for _, fsync := range []bool{false, true} {
		c, client := start(t, node.Config{Fsync: fsync})
		for name, size := range map[string]int{"empty": 0, "small": 100, "large": 3 << 20} {
			src := "a/0_" + name
			put(t, client, src, noise(name, size))
			old := time.Unix(1_000_000_000, 123_456_789)
			if err := os.Chtimes(filepath.Join(c.Data(0), src), old, old); err != nil {
				t.Fatal(err)
			}
			want, err := client.Stat(guarded(t), "s4://"+src)
			if err != nil {
				t.Fatal(err)
			}
			for _, dst := range []string{"b/new/3_" + name, "b/new/1_" + name} {
				o, err := client.CopyKey(guarded(t), "s4://"+src, "s4://"+dst)
				got, serr := client.Stat(guarded(t), "s4://"+dst)
				if err != nil || serr != nil || o != want || got != want || !got.Modified.Equal(old) {
					t.Errorf("%s: %+v, %+v, want %+v, %v, %v", dst, o, got, want, err, serr)
				}
				if b := get(t, client, dst); b != string(noise(name, size)) {
					t.Errorf("%s has %d other bytes", dst, len(b))
				}
			}
			if a, b := inode(t, filepath.Join(c.Data(0), src)), inode(t, filepath.Join(c.Data(0), "b/new/3_"+name)); a.Ino != b.Ino {
				t.Errorf("%s: the copy has a file of its own", name)
			}
			if n, err := client.Remove(guarded(t), "s4://"+src, false); n != 1 || err != nil {
				t.Error(err)
			}
			if b := get(t, client, "b/new/3_"+name); len(b) != size {
				t.Errorf("%s: the copy has %d bytes when its source is removed", name, len(b))
			}
		}
		keys, bytes := int64(0), int64(0)
		for _, n := range c.Nodes {
			keys, bytes = keys+n.Status().Keys, bytes+n.Status().Bytes
		}
		if keys != 6 || bytes != 2*(100+3<<20) {
			t.Errorf("counted %d keys, %d bytes", keys, bytes)
		}
	}
}

func TestCopyKeyRefusals(t *testing.T) {
	c, client := start(t, node.Config{})
	put(t, client, "a/0_k", []byte("bytes"))
	put(t, client, "a/3_k", []byte("other"))
	put(t, client, "a/1_k", []byte("other"))
	for _, tt := range []struct {
		src, dst string
		want     error
		key, at  string
	}{
		{"a/0_k", "a/3_k", s4.ErrExists, "a/3_k", c.Cluster.Servers[0].String()},
		{"a/0_k", "a/1_k", s4.ErrExists, "a/1_k", c.Cluster.Servers[1].String()},
		{"a/0_none", "a/4_k", s4.ErrNotFound, "a/0_none", c.Cluster.Servers[0].String()},
		{"a/0_k", "a/0_k", s4.ErrBadRequest, "a/0_k", ""},
		{"a/0_k", "a/0_k/3_x", s4.ErrConflict, "a/0_k/3_x", c.Cluster.Servers[0].String()},
		{"a/0_k", "a/1_k/1_x", s4.ErrConflict, "a/1_k/1_x", c.Cluster.Servers[1].String()},
		{"a/0_k", "a/../x", s4.ErrBadKey, "a/../x", ""},
		{"a", "a/x", s4.ErrBadKey, "a", ""},
	} {
		_, err := client.CopyKey(guarded(t), "s4://"+tt.src, "s4://"+tt.dst)
		var e *s4.Error
		if !errors.Is(err, tt.want) || !errors.As(err, &e) || e.Key != "s4://"+tt.key || e.Server != tt.at {
			t.Errorf("%s to %s: %v", tt.src, tt.dst, err)
		}
	}
	// What a client of another make may ask.
	conn, err := dialServer(guarded(t), c.Cluster, 0, wire.ChannelData)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, tt := range []struct {
		m    wire.Copy
		want wire.Code
	}{
		{wire.Copy{Src: "a/1_k", Dst: "a/0_x"}, wire.CodeWrongServer},
		{wire.Copy{Src: "a/../0_k", Dst: "a/0_x"}, wire.CodeBadKey},
		{wire.Copy{Src: "a/0_k", Dst: "_s4/0_x"}, wire.CodeBadKey},
		{wire.Copy{Src: "a/0_k", Dst: "../0_x"}, wire.CodeBadKey},
		{wire.Copy{Src: "a/0_k", Dst: "a/0_k"}, wire.CodeExists},
		{wire.Copy{Src: "a/0_k", Dst: ""}, wire.CodeBadKey},
	} {
		err := conn.Write(7, 0, &tt.m)
		if err == nil {
			_, err = conn.ReadReply(7)
		}
		if codeOf(err) != tt.want {
			t.Errorf("%+v: %v, want %s", tt.m, err, tt.want)
		}
	}
	clean(t, dataDirs(c), "a/0_k", "a/1_k", "a/3_k")
}

// Of many who make the same key, one wins; many requests on one connection are answered
// in their order.
func TestCopyKeyRace(t *testing.T) {
	c, client := start(t, node.Config{})
	put(t, client, "a/0_k", noise("k", 70_000))
	put(t, client, "a/1_k", noise("l", 70_000))
	for _, dst := range []string{"b/0_x", "b/1_x", "b/2_x"} {
		won := make(chan error, 8)
		for i := range cap(won) {
			go func() {
				_, err := client.CopyKey(guarded(t), []string{"s4://a/0_k", "s4://a/1_k"}[i%2], "s4://"+dst)
				won <- err
			}()
		}
		wins := 0
		for range cap(won) {
			if err := <-won; err == nil {
				wins++
			} else if !errors.Is(err, s4.ErrExists) {
				t.Error(err)
			}
		}
		if b := get(t, client, dst); wins != 1 || len(b) != 70_000 {
			t.Errorf("%s: %d wins, %d bytes", dst, wins, len(b))
		}
	}
	conn, err := dialServer(guarded(t), c.Cluster, 0, wire.ChannelData)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var all []wire.Message
	for i := range 60 {
		all = append(all, &wire.Copy{Src: "a/0_k", Dst: "c/" + string(rune('a'+i%26)) + "/" + []string{"0_k", "1_k"}[i%2]})
	}
	if err := conn.WriteAll(0, all); err != nil {
		t.Fatal(err)
	}
	for i := range all {
		m, err := conn.ReadReply(uint16(i))
		if i < 26 && (err != nil || !m.(*wire.Copied).Last) || i >= 26 && codeOf(err) != wire.CodeExists {
			t.Errorf("%d: %v, %v", i, m, err)
		}
	}
}

// A link has its source's damage, and the checksum that tells. Nothing damaged gets to
// another server.
func TestCopyDamagedKey(t *testing.T) {
	c, client := start(t, node.Config{})
	for _, size := range []int{1000, 2 << 20} {
		put(t, client, "a/0_k", noise("k", size))
		flipOnDisk(t, filepath.Join(c.Data(0), "a/0_k"), 500)
		var e *s4.Error
		_, err := client.CopyKey(guarded(t), "s4://a/0_k", "s4://b/1_k")
		if !errors.Is(err, s4.ErrChecksum) || !errors.As(err, &e) || e.Key != "s4://a/0_k" || e.Server != c.Cluster.Servers[0].String() {
			t.Error(err)
		}
		if err := client.Move(guarded(t), "s4://a/0_k", "s4://b/1_k", nil); !errors.Is(err, s4.ErrChecksum) {
			t.Error(err)
		}
		clean(t, dataDirs(c), "a/0_k")
		if _, err := client.CopyKey(guarded(t), "s4://a/0_k", "s4://b/3_k"); err != nil {
			t.Error(err)
		}
		if _, err := client.GetFile(guarded(t), "s4://b/3_k", t.TempDir()+"/k"); !errors.Is(err, s4.ErrChecksum) {
			t.Error(err)
		}
		var found []string
		_, err = client.Verify(guarded(t), "", &s4.VerifyOptions{Remove: true}, func(d s4.DamagedKey) error {
			found = append(found, d.Key)
			return nil
		})
		if slices.Sort(found); err != nil || strings.Join(found, " ") != "s4://a/0_k s4://b/3_k" {
			t.Error(found, err)
		}
		clean(t, dataDirs(c))
	}
}

// A file that takes no other name is copied byte by byte.
func TestCopyWithoutLink(t *testing.T) {
	c, client := start(t, node.Config{})
	for _, size := range []int{0, 300_000} {
		put(t, client, "a/0_k", noise("k", size))
		thaw, err := freeze(filepath.Join(c.Data(0), "a/0_k"))
		if err != nil {
			t.Skip("no file can be made immutable:", err)
		}
		defer thaw()
		want, err := client.Stat(guarded(t), "s4://a/0_k")
		if err != nil {
			t.Fatal(err)
		}
		o, err := client.CopyKey(guarded(t), "s4://a/0_k", "s4://b/3_k")
		if err != nil || o != want {
			t.Errorf("%+v, want %+v, %v", o, want, err)
		}
		if got, err := client.Stat(guarded(t), "s4://b/3_k"); got != want || err != nil || get(t, client, "b/3_k") != string(noise("k", size)) {
			t.Errorf("%+v, want %+v, %v", got, want, err)
		}
		if a, b := inode(t, filepath.Join(c.Data(0), "a/0_k")), inode(t, filepath.Join(c.Data(0), "b/3_k")); a.Ino == b.Ino {
			t.Error("it is a link")
		}
		if _, err := client.CopyKey(guarded(t), "s4://a/0_k", "s4://b/3_k"); !errors.Is(err, s4.ErrExists) {
			t.Error(err)
		}
		thaw()
		flipOrCut(t, filepath.Join(c.Data(0), "a/0_k"), size)
		if thaw, err = freeze(filepath.Join(c.Data(0), "a/0_k")); err != nil {
			t.Fatal(err)
		}
		defer thaw()
		if _, err := client.CopyKey(guarded(t), "s4://a/0_k", "s4://b/6_k"); !errors.Is(err, s4.ErrChecksum) {
			t.Error(err)
		}
		thaw()
		clean(t, dataDirs(c), "a/0_k", "b/3_k")
		for _, key := range []string{"s4://a/0_k", "s4://b/3_k"} {
			if _, err := client.Remove(guarded(t), key, false); err != nil {
				t.Error(err)
			}
		}
	}
}

// flipOrCut damages a file of size bytes.
func flipOrCut(t *testing.T, path string, size int) {
	t.Helper()
	if size > 0 {
		flipOnDisk(t, path, int64(size/2))
		return
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// freeze makes a file immutable, so that it cannot be linked (ioctl_iflags(2)).
func freeze(path string) (thaw func(), err error) {
	const immutable = 0x10 // FS_IMMUTABLE_FL
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags|immutable)
	}
	return func() {
		if f, err := os.Open(path); err == nil {
			defer f.Close()
			_ = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags)
		}
	}, err
}

// What happens to a copy whose destination is not there, is cut off, or is full.
func TestCopyKeyFaults(t *testing.T) {
	t.Parallel()
	c := nodetest.StartProxied(t, 2, node.Config{IOTimeout: 3 * time.Second})
	client := c.Client(t, &s4.Options{Compress: s4.CompressAlways}) // in small frames, between which a copy can end
	put(t, client, "a/0_k", noise("k", 8<<20))
	peer := c.Cluster.Servers[1].String()
	lost := func(what string, err error) {
		t.Helper()
		var e *s4.Error
		if !errors.Is(err, s4.ErrUnavailable) || !errors.As(err, &e) || e.Server != peer || e.Key != "s4://b/1_k" {
			t.Errorf("%s: %v", what, err)
		}
	}
	dirs := []string{c.Data(0), c.Data(1)}
	copyIt := func(ctx context.Context, retries int) error {
		return client.Copy(ctx, "s4://a/0_k", "s4://b/1_k", &s4.CopyOptions{Retries: retries})
	}

	c.Proxies[1].Set(nodetest.Fault{Action: nodetest.Cut, Dir: nodetest.ToServer, At: 1 << 20})
	lost("cut", copyIt(guarded(t), 0))
	clean(t, dirs, "a/0_k")
	// Cut once, another try brings it.
	c.Proxies[1].Set(nodetest.Fault{Action: nodetest.Flip, Dir: nodetest.ToServer, At: 1 << 20})
	if err := copyIt(guarded(t), 0); !errors.Is(err, s4.ErrChecksum) {
		t.Errorf("a flipped bit: %v", err)
	}
	clean(t, dirs, "a/0_k")
	c.Proxies[1].Heal()

	// The client gives up while the peer stands still. The server notices a moment later.
	if _, err := client.CopyKey(guarded(t), "s4://a/0_k", "s4://b/first/1_k"); err != nil { // connects the servers
		t.Fatal(err)
	}
	for try := time.Duration(1); try <= 5; try++ {
		release := c.Proxies[1].Hold(func() bool { return true }, true)
		ctx, cancel := context.WithCancel(guarded(t))
		time.AfterFunc(100*time.Millisecond, cancel)
		if err := copyIt(ctx, 0); !errors.Is(err, s4.ErrCanceled) {
			t.Errorf("canceled: %v", err)
		}
		time.Sleep(try * 400 * time.Millisecond)
		release()
		nodetest.Eventually(t, "the copy ends", func() bool { return c.Nodes[0].Status().Conns == 0 })
		if _, err := client.Remove(guarded(t), "s4://b/1_k", false); errors.Is(err, s4.ErrNotFound) {
			break
		}
		t.Log("not noticed yet")
	}
	clean(t, dirs, "a/0_k", "b/first/1_k")

	c.StopNode(1)
	lost("down", copyIt(guarded(t), 3))
	c.StartNode(t, 1)
	if err := copyIt(guarded(t), 0); err != nil {
		t.Error(err)
	}
	clean(t, dirs, "a/0_k", "b/1_k", "b/first/1_k")
}

// A peer without room refuses, and has nothing of the copy.
func TestCopyToFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may mount")
	}
	dir := t.TempDir()
	full := filepath.Join(dir, "1")
	if err := os.Mkdir(full, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", full, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(full, unix.MNT_DETACH) })
	c := nodetest.StartIn(t, dir, 2, node.Config{})
	client := c.Client(t, nil)
	put(t, client, "a/0_k", noise("k", 2<<20))
	err := client.Move(guarded(t), "s4://a/0_k", "s4://b/1_k", &s4.CopyOptions{Retries: 3})
	var e *s4.Error
	if !errors.Is(err, s4.ErrNoSpace) || !errors.As(err, &e) || e.Server != c.Cluster.Servers[1].String() {
		t.Error(err)
	}
	clean(t, dataDirs(c), "a/0_k")
}

// While a large key goes to another server that is slow to take it, the client is told
// how far it is.
func TestCopyTells(t *testing.T) {
	t.Parallel()
	c := nodetest.StartProxied(t, 2, node.Config{})
	const size = 8 << 20 // more than fits into the buffers of two connections
	client := c.Client(t, nil)
	put(t, client, "a/0_k", noise("k", size))
	put(t, client, "a/0_small", nil)
	if _, err := client.CopyKey(guarded(t), "s4://a/0_small", "s4://b/1_small"); err != nil { // connects the servers
		t.Fatal(err)
	}
	time.AfterFunc(1100*time.Millisecond, c.Proxies[1].Hold(func() bool { return true }, true)) // longer than between two COPIED
	conn, err := dialServer(guarded(t), c.Cluster, 0, wire.ChannelData)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Write(1, wire.FlagLZ4|wire.FlagPackAll, &wire.Copy{Src: "a/0_k", Dst: "b/1_k"}); err != nil {
		t.Fatal(err)
	}
	var told []uint64
	for {
		m, err := conn.ReadReply(1)
		if err != nil {
			t.Fatal(err)
		}
		copied := m.(*wire.Copied)
		told = append(told, copied.Bytes)
		if copied.Last {
			break
		}
	}
	if len(told) < 2 || told[len(told)-1] != size || !slices.IsSorted(told) {
		t.Errorf("told of %d", told)
	}
}
