package node_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
)

// Refusals, with the sentinels that a program looks for.
func TestRefusals(t *testing.T) {
	c, client := start(t, node.Config{})
	put(t, client, "b/0_k", []byte("x"))
	swapped := &s4.Cluster{Servers: slices.Clone(c.Cluster.Servers)}
	slices.Reverse(swapped.Servers)
	shorter := &s4.Cluster{Servers: c.Cluster.Servers[:2]}
	for name, other := range map[string]*s4.Cluster{"swapped": swapped, "shorter": shorter} {
		wrong := nodetest.NewClient(t, other, nil)
		dir := t.TempDir()
		for op, err := range map[string]error{
			"put":  wrong.Put(guarded(t), "s4://b/new", strings.NewReader("x"), 1),
			"get":  func() error { _, err := wrong.Get(guarded(t), "s4://b/0_k", io.Discard); return err }(),
			"file": func() error { _, err := wrong.GetFile(guarded(t), "s4://b/0_k", dir+"/f"); return err }(),
			"rm":   func() error { _, err := wrong.Remove(guarded(t), "s4://b/", true); return err }(),
			"map":  func() error { _, err := wrong.Map(guarded(t), "s4://b", "s4://c", "cat", nil); return err }(),
			"ls": func() error {
				for _, err := range wrong.List(guarded(t), "s4://b", true) {
					return err
				}
				return nil
			}(),
		} {
			if !errors.Is(err, s4.ErrWrongCluster) {
				t.Errorf("%s cluster, %s: %v", name, op, err)
			}
			for _, fp := range []uint64{other.Fingerprint(), c.Cluster.Fingerprint()} {
				if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("%016x", fp)) {
					t.Errorf("%s cluster, %s: %v does not name %016x", name, op, err, fp)
				}
			}
		}
		for _, h := range wrong.Health(guarded(t)) {
			if !errors.Is(h.Err, s4.ErrWrongCluster) {
				t.Errorf("health: %v", h.Err)
			}
		}
	}
	// The right list, but server 1 answers where 0 is listed.
	proxied := nodetest.StartProxied(t, 2, node.Config{})
	proxied.Proxies[0].SetTarget(func() string {
		// Whatever stands behind proxy 1 is reached through it.
		return proxied.Proxies[1].Addr()
	}())
	wrong := proxied.Client(t, nil)
	if _, err := wrong.Get(guarded(t), "s4://b/0_k", io.Discard); codeOf(err) != wire.CodeWrongServer {
		t.Errorf("wrong index: %v", err)
	}
	// A key that belongs to another server, from a client that cannot count.
	conn, err := dialServer(guarded(t), c.Cluster, 1, wire.ChannelControl)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var we *wire.Error
	for _, m := range []wire.Message{&wire.Stat{Key: "b/0_k"}, &wire.Remove{Prefix: "b/0_k"}} {
		if err := conn.Write(1, 0, m); err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.Read(); !errors.As(err, &we) || we.Code != wire.CodeWrongServer {
			t.Errorf("%s: %v", m.Type(), err)
		}
	}
	// Another version, both ways.
	tcp, err := net.Dial("tcp", c.Cluster.Servers[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	pre := wire.Preamble{Version: wire.Version + 1, MinVersion: wire.Version + 1, Channel: wire.ChannelData, Fingerprint: c.Cluster.Fingerprint()}
	if _, err := tcp.Write(pre.Append(nil)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(tcp)
	if refused := wire.ParseRefusal(string(answer)); err != nil || refused.Code != wire.CodeVersion {
		t.Errorf("%q, %v", answer, err)
	}
	for _, answer := range [][]byte{
		wire.Preamble{Version: wire.Version + 1, MinVersion: wire.Version + 1, Channel: wire.ChannelData}.Append(nil),
		wire.AppendRefusal(nil, wire.CodeVersion, "version 9 here, 1 there"),
	} {
		fake, one := fakeServer(t, func(conn net.Conn) {
			_, _ = io.ReadFull(conn, make([]byte, wire.PreambleSize))
			_, _ = conn.Write(answer)
		})
		if err := fake.Put(guarded(t), "s4://b/k", bytes.NewReader(nil), 0); !errors.Is(err, s4.ErrVersion) {
			t.Errorf("%q from %s: %v", answer, one, err)
		}
	}
	// Nobody there, and somebody else.
	down := nodetest.NewClient(t, &s4.Cluster{Servers: []s4.Server{{Address: "127.0.0.1", Port: "1"}}}, nil)
	if err := down.Put(guarded(t), "s4://b/k", bytes.NewReader(nil), 0); !errors.Is(err, s4.ErrUnavailable) {
		t.Errorf("nobody there: %v", err)
	}
	fake, _ := fakeServer(t, func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.0 400 Bad Request\r\n\r\n") })
	if err := fake.Put(guarded(t), "s4://b/k", bytes.NewReader(nil), 0); err == nil {
		t.Error("a web server took a key")
	}
}
