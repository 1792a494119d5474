package node_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
)

// Clients come in with the secret of the servers, and with no other.
func TestSecret(t *testing.T) {
	c, _ := start(t, node.Config{Secret: newSecret(t, docSecret)})
	for name, tt := range map[string]struct {
		secret s4.Secret
		says   string
	}{
		"right": {newSecret(t, docSecret+"\n"), ""},
		"wrong": {newSecret(t, docSecret+"s"), "another secret"},
		"none":  {s4.Secret{}, "this one gave none"},
	} {
		client := c.Client(t, &s4.Options{Secret: tt.secret})
		ctx := guarded(t)
		errs := map[string]error{
			"put":    client.Put(ctx, "s4://b/"+name, strings.NewReader("x"), 1),
			"health": client.Health(ctx)[0].Err,
		}
		_, errs["map"] = client.Map(ctx, "s4://b", "s4://out-"+name, "cat", nil)
		_, errs["detached"] = client.MapFromN(ctx, "s4://b", "s4://merged-"+name, "cat", &s4.JobOptions{Detach: true})
		for op, err := range errs {
			if (err == nil) != (tt.says == "") || err != nil && (!errors.Is(err, s4.ErrUnauthenticated) || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("%s, %s: %v", name, op, err)
			}
		}
	}
	if n := len(nodetest.Files(t, filepath.Join(c.Dir, "0", "b"))) + len(nodetest.Files(t, filepath.Join(c.Dir, "1", "b"))) + len(nodetest.Files(t, filepath.Join(c.Dir, "2", "b"))); n != 1 {
		t.Errorf("%d keys", n)
	}
}

// All that crosses the wire of a copy and of a shuffle, to peers as well, has neither the
// secret nor its key in it, in no usual spelling.
func TestSecretIsNotOnTheWire(t *testing.T) {
	var random [32]byte
	_, _ = rand.Read(random[:])
	text := hex.EncodeToString(random[:])
	c := nodetest.StartProxied(t, 3, node.Config{Secret: newSecret(t, text), MaxCPUJobs: 4})
	var (
		mu       sync.Mutex
		captured bytes.Buffer
	)
	for _, p := range c.Proxies {
		p.Tap(func(_ nodetest.Direction, b []byte) {
			mu.Lock()
			defer mu.Unlock()
			captured.Write(b)
		})
	}
	client := c.Client(t, &s4.Options{Secret: newSecret(t, text)})
	ctx := guarded(t)
	for _, name := range []string{"000", "001", "002"} {
		if err := client.Put(ctx, "s4://b/"+name, strings.NewReader("what is in a key "+name), -1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.MapToN(ctx, "s4://b", "s4://out", "cat >000; cp 000 001; ls", nil); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !bytes.Contains(captured.Bytes(), []byte("what is in a key 002")) || bytes.Count(captured.Bytes(), []byte(wire.Magic)) < 12 {
		t.Fatalf("%d bytes were captured, and not all", captured.Len())
	}
	padded := make([]byte, sha256.BlockSize)
	copy(padded, text) // as HMAC uses it
	inner, outer := bytes.Clone(padded), bytes.Clone(padded)
	for i := range padded {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	sum := sha256.Sum256([]byte(text))
	for name, b := range map[string][]byte{
		"the secret": []byte(text), "a half of it": []byte(text[:32]), "its bytes": random[:], "half of them": random[:16],
		"its base64": []byte(base64.StdEncoding.EncodeToString(random[:])), "in capitals": []byte(strings.ToUpper(text)),
		"the inner key": inner, "the outer key": outer, "its hash": sum[:],
		"the empty mac": hmac.New(sha256.New, []byte(text)).Sum(nil),
	} {
		if bytes.Contains(captured.Bytes(), b) {
			t.Errorf("%s is on the wire", name)
		}
	}
}

// Who has not the secret cannot fill the log of a server that has, whatever is sent to it.
func TestRefusedWithSecretAreLoggedRarely(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	c := nodetest.Start(t, 1, node.Config{Secret: newSecret(t, docSecret), Log: zap.New(core)})
	preamble := protoPreamble(wire.ChannelControl)
	preamble.Auth, preamble.Extra = wire.AuthSecret, wire.ClientExtra
	preamble.Fingerprint++
	start, sent := time.Now(), 0
	for range 20 {
		for _, what := range []string{"GET ", string(preamble.Append(nil)), wire.Magic} {
			conn, err := net.Dial("tcp", c.Cluster.Servers[0].String())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, what)
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, conn)
			conn.Close()
			sent++
		}
	}
	c.Stop()
	most := 2 + int(time.Since(start)/time.Second)
	lines := logs.FilterMessage("refused").Len() + logs.FilterMessage("not authenticated").Len()
	if lines == 0 || lines > most {
		t.Errorf("%d lines of %d refusals, want at most %d", lines, sent, most)
	}
}

// HEALTH tells of a server that anybody who reaches it may use, and no other.
func TestOpen(t *testing.T) {
	for name, tt := range map[string]struct {
		listen string
		secret string
		open   bool
	}{
		"loopback":                     {"127.0.0.1:0", "", false},
		"all addresses":                {"0.0.0.0:0", "", true},
		"all addresses, with a secret": {"0.0.0.0:0", docSecret, false},
	} {
		var secret s4.Secret
		if tt.secret != "" {
			secret = newSecret(t, tt.secret)
		}
		ln, err := net.Listen("tcp4", tt.listen)
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		cluster := &s4.Cluster{Servers: []s4.Server{{Address: "127.0.0.1", Port: port}}}
		n, err := node.New(node.Config{Cluster: cluster, Dir: t.TempDir(), Secret: secret})
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- n.Serve(ln) }()
		h := nodetest.NewClient(t, cluster, &s4.Options{Secret: secret}).Health(guarded(t))
		if h[0].Err != nil || h[0].Open != tt.open {
			t.Errorf("%s: open %v, %v", name, h[0].Open, h[0].Err)
		}
		n.Shutdown(guarded(t))
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}
