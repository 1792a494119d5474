package xfer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/wire"
)

// TestMain fails the run if a test left a goroutine or a descriptor behind.
func TestMain(m *testing.M) {
	// The first socket makes the runtime's poller, which stays.
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close()
	}
	inherited := descriptors()
	code := m.Run()
	if left := leftovers(inherited); code == 0 && left != "" {
		fmt.Fprintln(os.Stderr, "left behind:", left)
		code = 1
	}
	os.Exit(code)
}

func leftovers(inherited []string) (left string) {
	// A goroutine may take a moment to be gone after its last statement, a
	// timer that KeepAlive left a third of a timeout.
	for range 1000 {
		buf := make([]byte, 1<<20)
		left = ""
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "s4/xfer.") && !strings.Contains(g, "s4/xfer.TestMain") {
				left += "\n" + g
			}
		}
		for _, fd := range descriptors() {
			if !slices.Contains(inherited, fd) {
				left += "\ndescriptor of " + fd
			}
		}
		if left == "" {
			return ""
		}
		time.Sleep(10 * time.Millisecond)
	}
	return left
}

// descriptors names the sockets, pipes and files this process has open.
func descriptors() (open []string) {
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		to, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err == nil && !strings.HasPrefix(to, "anon_inode:") && !strings.HasPrefix(to, "/proc/") {
			open = append(open, fd.Name()+" "+to)
		}
	}
	return open
}

// patient is the timeout of tests that are not about timeouts.
const patient = time.Minute

// tcpPair returns the two ends of a loopback connection.
func tcpPair(t testing.TB) (a, b *net.TCPConn) {
	t.Helper()
	a, b = tcpPairOnce(t)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// newConn makes a Conn of tcp, closed with the test.
func newConn(t testing.TB, tcp *net.TCPConn, timeout time.Duration) *Conn {
	t.Helper()
	c, err := NewConn(tcp, timeout, new(Stats))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// connPair returns two connected Conns.
func connPair(t testing.TB, ta, tb time.Duration) (a, b *Conn) {
	t.Helper()
	ca, cb := tcpPair(t)
	return newConn(t, ca, ta), newConn(t, cb, tb)
}

// tap sees the bytes that pass a proxy in one direction, from offset off on,
// may change them, and says how many to pass on: if not all, the proxy then
// drops the connection.
type tap func(off int64, p []byte) int

// proxyPair is tcpPair with a proxy between the two.
func proxyPair(t testing.TB, aToB, bToA tap) (a, b *net.TCPConn) {
	t.Helper()
	a, pa := tcpPair(t)
	pb, b := tcpPair(t)
	var wg sync.WaitGroup
	pass := func(from, to *net.TCPConn, f tap) {
		buf := make([]byte, 64<<10)
		for off := int64(0); ; {
			n, err := from.Read(buf)
			send := n
			if f != nil {
				send = f(off, buf[:n])
			}
			off += int64(n)
			if _, werr := to.Write(buf[:send]); werr != nil || send < n {
				from.Close()
				to.Close()
				return
			}
			if err != nil {
				to.CloseWrite()
				return
			}
		}
	}
	wg.Go(func() { pass(pa, pb, aToB) })
	wg.Go(func() { pass(pb, pa, bToA) })
	t.Cleanup(func() { pa.Close(); pb.Close(); wg.Wait() })
	return a, b
}

// random returns n bytes that lz4 cannot shrink, the same for every run.
func random(n int) []byte {
	b := make([]byte, n)
	seed := [32]byte{1: byte(n), 2: byte(n >> 8), 3: byte(n >> 16), 4: byte(n >> 24)}
	_, _ = rand.NewChaCha8(seed).Read(b)
	return b
}

// text returns n bytes that lz4 can shrink. The caller may change them.
func text(n int) []byte {
	texts.Lock()
	defer texts.Unlock()
	for i := len(texts.b) / 64; len(texts.b) < min(n, textPeriod); i++ {
		texts.b = fmt.Appendf(texts.b, "line %-12d of a file that repeats itself, again and again\n", i)
	}
	for len(texts.b) < n {
		texts.b = append(texts.b, texts.b[:textPeriod]...)
	}
	return bytes.Clone(texts.b[:n])
}

// textPeriod is after how many bytes a text begins anew: further than lz4 looks back,
// and no multiple of a chunk, so that no two chunks are the same.
const textPeriod = 64 * 16381

// texts holds the longest text made so far; it is slow to make.
var texts struct {
	sync.Mutex
	b []byte
}

func fileOf(t testing.TB, data []byte) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	return f
}

// received is what a receiver made of one object.
type received struct {
	h    wire.Header
	head wire.Message
	data []byte
	n    int64
	sum  uint64
	err  error
}

// receive reads a head and the stream behind it.
func receive(c *Conn) (r received) {
	if r.h, r.head, r.err = c.Read(); r.err != nil {
		return r
	}
	// A buffer that has grown already: with the race detector, growing takes longer than
	// all the rest.
	b := grown.Get().(*bytes.Buffer)
	b.Reset()
	defer grown.Put(b)
	r.n, r.sum, r.err = c.Recv(b, nil)
	r.data = bytes.Clone(b.Bytes())
	return r
}

var grown = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// receiving starts receive and returns a function that waits for it.
func receiving(c *Conn) func() received {
	return async(func() received { return receive(c) })
}

// async runs f and returns a function that waits for its result.
func async[T any](f func() T) func() T {
	ch := make(chan T, 1)
	go func() { ch <- f() }()
	return func() T { return <-ch }
}

// wantObject fails the test unless r is data, whole and verified.
func wantObject(t *testing.T, r received, data []byte) {
	t.Helper()
	if r.err != nil {
		t.Fatalf("receiver: %v", r.err)
	}
	if r.n != int64(len(data)) || !bytes.Equal(r.data, data) {
		t.Fatalf("%d bytes came (%d said), other than the %d sent", len(r.data), r.n, len(data))
	}
	if want := xxhash.Sum64(data); r.sum != want {
		t.Fatalf("checksum %016x, want %016x", r.sum, want)
	}
}

// wantUsable fails the test unless an object passes from a to b as if nothing
// had been before.
func wantUsable(t *testing.T, a, b *Conn) {
	t.Helper()
	if a.Broken() || b.Broken() {
		t.Fatalf("broken: sender %v, receiver %v", a.Broken(), b.Broken())
	}
	data := text(ChunkSize + 99)
	wait := receiving(b)
	if _, _, err := a.SendStream(99, putHead, 0, Source{R: bytes.NewReader(data), Size: -1}, nil); err != nil {
		t.Fatalf("the next object: %v", err)
	}
	r := wait()
	wantObject(t, r, data)
	if r.h.Tag != 99 {
		t.Fatalf("the next object has tag %d", r.h.Tag)
	}
}

func wantCode(t *testing.T, err error, code wire.Code) {
	t.Helper()
	var e *wire.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("error %v, want one of kind %s", err, code)
	}
}

// until waits for a condition that comes true by itself.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for range 3000 {
		if f() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

// pingFrame is what a PING looks like to somebody who reads bytes.
var pingFrame = wire.AppendFrame(nil, 0, 0, wire.Empty{T: wire.TypePing})

// readPings reads n PINGs as bytes.
func readPings(t *testing.T, c io.Reader, n int) {
	t.Helper()
	b := make([]byte, n*len(pingFrame))
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, bytes.Repeat(pingFrame, n)) {
		t.Fatalf("%x is not %d PINGs", b, n)
	}
}

// gate is a reader that yields data, then blocks until opened, then more.
type gate struct {
	before, after io.Reader
	reached       chan struct{} // closed when before has been read
	open          chan struct{}
	once          sync.Once
}

func newGate(before, after []byte) *gate {
	return &gate{before: bytes.NewReader(before), after: bytes.NewReader(after), reached: make(chan struct{}), open: make(chan struct{})}
}

func (g *gate) Read(p []byte) (int, error) {
	if n, err := g.before.Read(p); err == nil {
		return n, nil
	}
	g.once.Do(func() { close(g.reached) })
	<-g.open
	return g.after.Read(p)
}

// failing is a reader that yields data, then an error.
func failing(data []byte, err error) io.Reader {
	return io.MultiReader(bytes.NewReader(data), errReader{err})
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// fullDisk is a writer that takes room bytes, then fails every time.
type fullDisk struct {
	room int
	err  error
}

func (w *fullDisk) Write(p []byte) (int, error) {
	if len(p) > w.room {
		n := w.room
		w.room = 0
		return n, w.err
	}
	w.room -= len(p)
	return len(p), nil
}

var (
	errTest = errors.New("an error of the test")
	putHead = &wire.Put{Size: wire.SizeUnknown, Key: "bucket/dir/key"}
)
