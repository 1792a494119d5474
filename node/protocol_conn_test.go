package node_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/wire"
)

// The tests that begin with TestProtocol hold PROTOCOL.md and the server to
// each other: the document's tables against package wire, its examples and its
// rules against a live server.

const (
	protoDoc     = "../PROTOCOL.md"
	protoCluster = "127.0.0.1:4000" // the document's cluster file
	protoRelease = "0.1.0"          // of the document's server
)

// protoHang is how long anything may take before the test counts it as a
// hang. No test measures time.
const protoHang = time.Minute

// protoServer is a node of the document's cluster, on some free port.
type protoServer struct {
	stop func() // may be called early
	t    *testing.T
	addr string
	dir  string
}

func startProto(t *testing.T, ioTimeout time.Duration) *protoServer {
	t.Helper()
	return startProtoIn(t, t.TempDir(), ioTimeout)
}

// startProtoIn is startProto with a data directory.
func startProtoIn(t *testing.T, dir string, ioTimeout time.Duration) *protoServer {
	t.Helper()
	return startProtoWith(t, node.Config{Dir: dir, IOTimeout: ioTimeout})
}

// startProtoWith is startProto with a configuration.
func startProtoWith(t *testing.T, cfg node.Config) *protoServer {
	t.Helper()
	cluster, err := s4.ParseCluster(strings.NewReader(protoCluster), "")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Cluster, cfg.Version = cluster, protoRelease
	n, err := node.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- n.Serve(ln) }()
	stop := sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), protoHang)
		defer cancel()
		n.Shutdown(ctx)
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return &protoServer{t: t, addr: ln.Addr().String(), dir: cfg.Dir, stop: stop}
}

// files returns what is in the data directory, but for the lock: the keys,
// and anything that should not be there.
func (p *protoServer) files() []string {
	p.t.Helper()
	var names []string
	err := filepath.WalkDir(p.dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil // the server is cleaning up: what it removes counts still
		}
		rel, _ := filepath.Rel(p.dir, path)
		if e != nil && e.IsDir() && slices.Contains([]string{"_s4/history", "_s4/committed", "_s4/shuffled"}, rel) {
			return filepath.SkipDir // what it remembers of jobs that are over
		}
		if !slices.Contains([]string{".", "_s4", "_s4/jobs", "_s4/tmp", "_s4/lock", "_s4/boot"}, rel) {
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return names
}

// wantFiles waits until the data directory holds exactly the given names.
func (p *protoServer) wantFiles(names ...string) {
	p.t.Helper()
	for end := time.Now().Add(protoHang); !slices.Equal(p.files(), names); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("the data directory holds %q, want %q", p.files(), names)
		}
	}
}

// wantServing checks that the server still answers.
func (p *protoServer) wantServing() {
	p.t.Helper()
	c := p.open(wire.ChannelControl)
	defer c.Close()
	c.send(1, 0, wire.Empty{T: wire.TypeHealth})
	c.want(1, wire.TypeHealthInfo)
}

// exchange sends raw bytes, half-closes, and returns all that comes back; a
// reset ends it as a close does.
func (p *protoServer) exchange(b []byte) []byte {
	p.t.Helper()
	c := p.dial()
	defer c.Close()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = c.Write(b) // the server may hang up in the middle
		_ = c.CloseWrite()
	}()
	out, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("no end of the answer, only %q", out)
	}
	c.Close()
	<-sent
	return out
}

// protoConn speaks frames.
type protoConn struct {
	*net.TCPConn
	t *testing.T
}

func (p *protoServer) dial() *protoConn {
	p.t.Helper()
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(protoHang)); err != nil {
		p.t.Fatal(err)
	}
	return &protoConn{c.(*net.TCPConn), p.t}
}

// protoPreamble is what a client of the document's cluster sends.
func protoPreamble(channel wire.Channel) wire.Preamble {
	cluster := s4.Cluster{Servers: []s4.Server{{Address: "127.0.0.1", Port: "4000"}}}
	return wire.Preamble{Version: wire.Version, MinVersion: wire.Version, Channel: channel, Fingerprint: cluster.Fingerprint(), Index: wire.AnyServer}
}

// open dials and exchanges preambles.
func (p *protoServer) open(channel wire.Channel) *protoConn {
	p.t.Helper()
	c := p.dial()
	c.raw(protoPreamble(channel).Append(nil))
	var b [wire.PreambleSize]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		p.t.Fatalf("preamble: %v, %q", err, b)
	}
	if got, err := wire.DecodePreamble(b[:]); err != nil || got.Channel != channel || got.Index != 0 {
		p.t.Fatalf("preamble %+v, %v", got, err)
	}
	return c
}

func (c *protoConn) raw(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

func (c *protoConn) send(tag uint16, flags byte, m wire.Message) {
	c.t.Helper()
	c.raw(wire.AppendFrame(nil, tag, flags, m))
}

func (c *protoConn) data(tag uint16, body string) {
	c.t.Helper()
	c.raw(protoData(tag, 0, body))
}

func protoData(tag uint16, flags byte, body string) []byte {
	h := wire.Header{Len: uint32(len(body)), Type: wire.TypeData, Flags: flags, Tag: tag}
	return append(h.Append(nil), body...)
}

// next reads a frame, also a PING. At the end of the stream it returns io.EOF.
func (c *protoConn) next() (wire.Header, []byte, error) {
	var b [wire.HeaderSize]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return wire.Header{}, nil, err
	}
	h, err := wire.DecodeHeader(b[:])
	if err != nil {
		return h, nil, err
	}
	body := make([]byte, h.Len)
	_, err = io.ReadFull(c, body)
	return h, body, err
}

// want reads the next frame but PING and PROGRESS, which must have that tag
// and type, and returns its message.
func (c *protoConn) want(tag uint16, typ wire.Type) wire.Message {
	c.t.Helper()
	for {
		h, body, err := c.next()
		if err != nil {
			c.t.Fatalf("want %s: %v", typ, err)
		}
		if h.Type == wire.TypePing || h.Type == wire.TypeProgress && typ != wire.TypeProgress {
			continue
		}
		var m wire.Message
		if h.Type != wire.TypeData && h.Type != wire.TypeStderr {
			if m, err = wire.Decode(h.Type, body); err != nil {
				c.t.Fatal(err)
			}
		}
		if h.Type != typ || h.Tag != tag {
			c.t.Fatalf("want %s with tag %d, got %s with tag %d: %+v", typ, tag, h.Type, h.Tag, m)
		}
		return m
	}
}

func (c *protoConn) wantError(tag uint16, code wire.Code) *wire.Error {
	c.t.Helper()
	e := c.want(tag, wire.TypeError).(*wire.Error)
	if e.Code != code {
		c.t.Fatalf("want %s, got %v", code, e)
	}
	return e
}

// wantEnd reads on until the server has closed the connection; nothing but
// PINGs and one last ERROR may come before.
func (c *protoConn) wantEnd() {
	c.t.Helper()
	for {
		h, _, err := c.next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.t.Fatal("the connection is still open")
		}
		if err != nil {
			return
		}
		if h.Type != wire.TypePing && h.Type != wire.TypeError {
			c.t.Fatalf("a %s frame before the end", h.Type)
		}
	}
}

const protoSum = 0xe4c191d091bd8853 // xxh64 of "hello\n"

// protoPut is a whole PUT of "hello\n".
func protoPut(tag uint16, key string) []byte {
	b := wire.AppendFrame(nil, tag, 0, &wire.Put{Size: 6, Key: key})
	b = append(b, protoData(tag, 0, "hello\n")...)
	return wire.AppendFrame(b, tag, 0, &wire.Trailer{Length: 6, Sum: protoSum})
}

// wantHello reads the answer to a GET of a key with those bytes.
func (c *protoConn) wantHello(tag uint16) {
	c.t.Helper()
	c.want(tag, wire.TypeObject)
	c.want(tag, wire.TypeData)
	if m := c.want(tag, wire.TypeTrailer).(*wire.Trailer); m.Length != 6 || m.Sum != protoSum {
		c.t.Fatalf("trailer %+v", m)
	}
}

func protoJob(verb wire.Verb, command string) *wire.Job {
	return &wire.Job{ID: 42, Verb: verb, Indir: "b", Outdir: "out", Command: command}
}

// jobInfo asks for one job.
func (c *protoConn) jobInfo(id uint64) *wire.JobInfo {
	c.t.Helper()
	c.send(3, 0, &wire.Jobs{Job: id})
	info := c.want(3, wire.TypeJobInfo).(*wire.JobInfo)
	if end := c.want(3, wire.TypeEnd).(*wire.End); end.Count != 1 {
		c.t.Errorf("END of %d jobs", end.Count)
	}
	return info
}

// over waits until a job is over.
func (c *protoConn) over(id uint64) *wire.JobInfo {
	c.t.Helper()
	for end := time.Now().Add(protoHang); ; time.Sleep(10 * time.Millisecond) {
		if info := c.jobInfo(id); info.Ended != 0 {
			return info
		}
		if time.Now().After(end) {
			c.t.Fatalf("job %d does not end", id)
		}
	}
}
