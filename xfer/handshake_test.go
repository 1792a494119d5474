package xfer

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nathants/s4/wire"
)

// acceptOne listens, and accepts one connection as server 1 of a cluster.
func acceptOne(t *testing.T, timeout time.Duration) (addr string, accepted func() (*Conn, wire.Channel, error)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	type result struct {
		c       *Conn
		channel wire.Channel
		err     error
	}
	wait := async(func() result {
		tcp, err := l.Accept()
		if err != nil {
			return result{err: err}
		}
		c, err := NewConn(tcp.(*net.TCPConn), timeout, nil)
		if err != nil {
			return result{err: err}
		}
		channel, err := c.Accept(&Acceptor{Name: "host:1", Fingerprint: 0x42, Index: 1})
		if err != nil {
			c.Close()
		}
		return result{c, channel, err}
	})
	return l.Addr().String(), func() (*Conn, wire.Channel, error) {
		r := wait()
		return r.c, r.channel, r.err
	}
}

func TestHandshake(t *testing.T) {
	addr, accepted := acceptOne(t, 600*time.Millisecond)
	d := Dialer{Addr: addr, Fingerprint: 0x42, Index: 1, Timeout: patient}
	a, err := d.Dial(context.Background(), wire.ChannelControl)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, channel, err := accepted()
	if err != nil || channel != wire.ChannelControl {
		t.Fatal(channel, err)
	}
	defer b.Close()
	for _, c := range []*Conn{a, b} {
		if c.Features() != wire.AllFeatures {
			t.Errorf("features %#x", c.Features())
		}
	}
	// The client has a longer timeout, but pings so often that this server's holds.
	if got, want := a.pingTime.Load(), int64(200*time.Millisecond); got != want {
		t.Errorf("pings every %v at least, want %v", time.Duration(got), time.Duration(want))
	}
	defer a.KeepAlive(nil)()
	wait := async(func() error { _, err := b.ReadHeader(); return err })
	time.Sleep(1500 * time.Millisecond) // twice what the server bears
	if err := a.Write(1, 0, wire.Empty{T: wire.TypeHealth}); err != nil {
		t.Fatal(err)
	}
	if err := wait(); err != nil {
		t.Errorf("the server gave up: %v", err)
	}
}

func TestHandshakeRefused(t *testing.T) {
	for name, c := range map[string]struct {
		d    Dialer
		code wire.Code
		says string
	}{
		"other cluster": {Dialer{Fingerprint: 0x43, Index: 1}, wire.CodeWrongCluster, "fingerprint 0000000000000043, that of server host:1 has 0000000000000042"},
		"other server":  {Dialer{Fingerprint: 0x42, Index: 2}, wire.CodeWrongServer, "this is server 1, not 2"},
	} {
		t.Run(name, func(t *testing.T) {
			addr, accepted := acceptOne(t, patient)
			c.d.Addr, c.d.Timeout = addr, patient
			_, err := c.d.Dial(context.Background(), wire.ChannelData)
			wantCode(t, err, c.code)
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
			_, _, err = accepted()
			wantCode(t, err, c.code)
		})
	}
}

// What a server answers to preambles that are typed by hand, and what features
// they agree on.
func TestAcceptByHand(t *testing.T) {
	const rest = "\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x42" + "\xff\xff\xff\xff" + "\x00\x00\x00\x00"
	for name, c := range map[string]struct{ sent, want string }{
		"no features":   {"s4wp\x01\x01d\x00" + "\x00\x00\x00\x00" + rest, "s4wp\x01\x01d\x00" + "\x00\x00\x00\x00"},
		"all and more":  {"s4wp\x01\x01d\x00" + "\xff\xff\xff\xff" + rest, "s4wp\x01\x01d\x00" + "\x00\x00\x00\x03"},
		"a later one":   {"s4wp\x07\x01c\x00" + "\x00\x00\x00\x02" + rest, "s4wp\x01\x01c\x00" + "\x00\x00\x00\x02"},
		"too late":      {"s4wp\x07\x02c\x00" + "\x00\x00\x00\x02" + rest, "s4-error wrong-version: the server speaks protocol version 1, the client 2 to 7\n"},
		"reserved":      {"s4wp\x01\x01d\x00" + "\x00\x00\x00\x00" + rest[:19] + "\x01", "s4-error bad-request: reserved bytes are 0x0001, not 0\n"},
		"cut":           {"s4wp\x01\x01d", "s4-error bad-request: the connection ended inside the preamble\n"},
		"authenticates": {"s4wp\x01\x01d\x01" + "\x00\x00\x00\x00" + rest, "s4-error bad-request: 0 bytes of authentication, which method 1 does not have\n"},
	} {
		t.Run(name, func(t *testing.T) {
			ca, cb := tcpPair(t)
			b := newConn(t, cb, 3*time.Second)
			wait := async(func() error {
				defer b.CloseWrite()
				_, err := b.Accept(&Acceptor{Name: "host:1", Fingerprint: 0x42, Index: 1})
				return err
			})
			if _, err := io.WriteString(ca, c.sent); err != nil {
				t.Fatal(err)
			}
			_ = ca.CloseWrite()
			got, err := io.ReadAll(ca)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(got), c.want) || strings.HasPrefix(c.want, wire.RefusalPrefix) && len(got) != len(c.want) {
				t.Errorf("answered %q, want %q", got, c.want)
			}
			if err := wait(); (err == nil) != strings.HasPrefix(c.want, wire.Magic) {
				t.Errorf("%v", err)
			}
		})
	}
}

// After a frame with a checksum, a frame without one is refused. Otherwise a bit flip
// in the flag would switch off the check.
func TestPlainAfterChecked(t *testing.T) {
	ca, cb := tcpPair(t)
	b := newConn(t, cb, patient)
	frames := wire.AppendFrame(nil, 1, 0, &wire.Get{Key: "b/k"})
	frames = wire.AppendFrame(frames, 2, wire.FlagChecked, &wire.Get{Key: "b/k"})
	frames = wire.AppendFrame(frames, 3, 0, &wire.Get{Key: "b/k"})
	if _, err := ca.Write(frames); err != nil {
		t.Fatal(err)
	}
	for tag := range uint16(2) {
		if h, _, err := b.Read(); err != nil || h.Tag != tag+1 {
			t.Fatalf("%+v, %v", h, err)
		}
	}
	_, _, err := b.Read()
	wantCode(t, err, wire.CodeChecksum)
	if !b.Broken() {
		t.Error("not broken")
	}
}

// A frame of a type that is not known is skipped, and its sender can be told.
func TestUnknownType(t *testing.T) {
	ca, cb := tcpPair(t)
	b := newConn(t, cb, patient)
	if _, err := io.WriteString(ca, "\x00\x00\x00\x05\x77\x00\x00\x09later"+string(wire.AppendFrame(nil, 10, 0, &wire.Get{Key: "b/k"}))); err != nil {
		t.Fatal(err)
	}
	h, _, err := b.Read()
	wantCode(t, err, wire.CodeUnsupported)
	if h.Tag != 9 || b.Broken() {
		t.Errorf("%+v, broken: %v", h, b.Broken())
	}
	if h, m, err := b.Read(); err != nil || h.Tag != 10 || m.(*wire.Get).Key != "b/k" {
		t.Errorf("%+v, %v, %v", h, m, err)
	}
}

// A client that is refused, and stays, costs the server no more memory than its connection.
func TestRefusedCostLittle(t *testing.T) {
	const clients = 50
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var wg sync.WaitGroup
	var open []net.Conn
	for range clients {
		client, end := tcpPair(t)
		open = append(open, client)
		server, err := NewConn(end, patient, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Write([]byte("GET / HTTP/1.1\r\n")); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if _, err := server.Accept(&Acceptor{Name: "host:1"}); !errors.Is(err, wire.CodeBadRequest) {
				t.Error(err)
			}
		})
	}
	for _, client := range open {
		if _, err := client.Read(make([]byte, wire.MaxRefusal)); err != nil {
			t.Error(err)
		}
	}
	for _, client := range open {
		client.Close()
	}
	wg.Wait()
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / clients; each > 64<<10 {
		t.Errorf("%d bytes for each", each)
	}
}
