package xfer

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/nathants/s4/wire"
)

func testSecret(t testing.TB, text string) wire.Secret {
	t.Helper()
	s, err := wire.NewSecret([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The flights of a handshake.
const (
	hello = iota
	answer
	proof
)

// meeting is one handshake, with somebody on the path.
type meeting struct {
	channel        wire.Channel
	client, server wire.Secret
	// change returns what is passed on of a flight, before the path ends if cut is true.
	change func(flight int, b []byte) (passed []byte, cut bool)
}

// run has the two ends meet, and returns what each makes of it.
func (m *meeting) run(t *testing.T) (clientErr, serverErr error) {
	t.Helper()
	clientEnd, a := tcpPairOnce(t)
	b, serverEnd := tcpPairOnce(t)
	defer clientEnd.Close()
	defer serverEnd.Close()
	client, err := NewConn(clientEnd, patient, nil)
	if err != nil {
		t.Fatal(err)
	}
	server, err := NewConn(serverEnd, patient, nil)
	if err != nil {
		t.Fatal(err)
	}
	serverDone := async(func() error {
		defer server.Close()
		_, err := server.Accept(&Acceptor{Name: "host:1", Fingerprint: 0x42, Index: 1, Secret: m.server})
		return err
	})
	clientDone := async(func() error {
		defer client.CloseWrite()
		return client.greet(&Dialer{Addr: "host:1", Fingerprint: 0x42, Index: 1, Secret: m.client}, m.channel)
	})
	m.path(a, b)
	a.Close()
	b.Close()
	return clientDone(), serverDone()
}

// path passes the flights on until there is no more to pass.
func (m *meeting) path(client, server *net.TCPConn) {
	buf := make([]byte, wire.MaxRefusal)
	for flight := range 3 {
		src, dst := client, server
		if flight == answer {
			src, dst = server, client
		}
		b := readFlight(src, buf, flight, m.client.IsSet())
		passed, cut := b, false
		if m.change != nil && len(b) > 0 {
			passed, cut = m.change(flight, bytes.Clone(b))
		}
		if _, err := dst.Write(passed); err != nil || cut || len(b) == 0 {
			return
		}
		if flight == answer {
			_ = client.CloseWrite() // or it might wait for the end of a refusal
		}
	}
}

// readFlight reads a flight, or a refusal up to its end.
func readFlight(src net.Conn, buf []byte, flight int, secret bool) []byte {
	size := []int{wire.PreambleSize + wire.ClientExtra, wire.PreambleSize + wire.ServerExtra, wire.ProofSize}[flight]
	if !secret && flight == hello {
		size = wire.PreambleSize
	}
	n, _ := io.ReadFull(src, buf[:min(size, wire.PreambleSize)])
	if n == wire.PreambleSize && size > n && buf[7] == wire.AuthSecret {
		more, _ := io.ReadFull(src, buf[n:size])
		n += more
	}
	return buf[:n]
}

// tcpPairOnce is tcpPair for a test that makes many: the caller closes the ends.
func tcpPairOnce(t testing.TB) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ca, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	cb, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return ca.(*net.TCPConn), cb.(*net.TCPConn)
}

// Somebody on the path changes, cuts, repeats and mixes up what is sent. Nobody gets in:
// the server takes no client, and the client no server, that did not send just what it got.
func TestAuthAttacks(t *testing.T) {
	secret, other := testSecret(t, "correct horse battery staple"), testSecret(t, "incorrect horse battery staple")
	tried, in := 0, 0
	attack := func(name string, m meeting) {
		t.Helper()
		m.client, m.server = secret, secret
		if strings.Contains(name, "server without") {
			m.server = wire.Secret{}
		}
		changed := -1 // the first flight that was
		change := m.change
		m.change = func(flight int, b []byte) ([]byte, bool) {
			passed, cut := change(flight, bytes.Clone(b))
			if changed < 0 && !bytes.Equal(passed, b) {
				changed = flight
			}
			return passed, cut
		}
		clientErr, serverErr := m.run(t)
		tried++
		if changed < 0 {
			t.Fatalf("%s, %s: nothing was changed: %v, %v", name, m.channel, clientErr, serverErr)
		}
		// The client has said all when it sends its proof, and need not hear of its end. A
		// server without a secret takes anybody.
		if serverErr == nil && m.server.IsSet() || clientErr == nil && changed != proof {
			in++
			t.Errorf("%s, %s: client: %v, server: %v", name, m.channel, clientErr, serverErr)
		}
	}
	for _, channel := range []wire.Channel{wire.ChannelData, wire.ChannelControl} {
		// What an honest handshake sends.
		var record [3][]byte
		honest := meeting{channel: channel, client: secret, server: secret, change: func(flight int, b []byte) ([]byte, bool) {
			record[flight] = b
			return b, false
		}}
		if clientErr, serverErr := honest.run(t); clientErr != nil || serverErr != nil {
			t.Fatalf("%s: client: %v, server: %v", channel, clientErr, serverErr)
		}
		for flight, sent := range record {
			for i := range sent {
				attack("flip", meeting{channel: channel, change: func(f int, b []byte) ([]byte, bool) {
					if f == flight {
						b[i] ^= 1 << (i % 8)
					}
					return b, false
				}})
				attack("truncate", meeting{channel: channel, change: func(f int, b []byte) ([]byte, bool) {
					if f == flight {
						return b[:i], true
					}
					return b, false
				}})
			}
			attack("replay", meeting{channel: channel, change: func(f int, b []byte) ([]byte, bool) {
				if f == flight {
					return record[f], false
				}
				return b, false
			}})
		}
		attack("replay all of the client", meeting{channel: channel, change: func(f int, b []byte) ([]byte, bool) {
			if f == answer {
				return b, false
			}
			return record[f], false
		}})
		var theirs []byte
		attack("reflect the server's proof", meeting{channel: channel, change: func(f int, b []byte) ([]byte, bool) {
			switch f {
			case answer:
				theirs = b
			case proof:
				return theirs[len(theirs)-wire.ProofSize:], false
			}
			return b, false
		}})
		var mine []byte
		attack("reflect the client's preamble and nonce", meeting{channel: channel, change: func(f int, b []byte) ([]byte, bool) {
			switch f {
			case hello:
				mine = b
			case answer:
				p, err := wire.DecodePreamble(mine[:wire.PreambleSize])
				if err != nil {
					t.Fatal(err)
				}
				p.Extra = wire.ServerExtra
				return append(append(p.Append(nil), mine[wire.PreambleSize:]...), b[len(b)-wire.ProofSize:]...), false
			}
			return b, false
		}})
		attack("downgrade the client", meeting{channel: channel, change: func(f int, b []byte) ([]byte, bool) {
			if f == hello {
				return downgraded(t, b), false
			}
			return b, false
		}})
		attack("downgrade the client, to a server without a secret", meeting{channel: channel, change: func(f int, b []byte) ([]byte, bool) {
			switch f {
			case hello:
				return downgraded(t, b), false
			case answer:
				return b, false
			}
			return nil, true
		}})
		attack("downgrade the server", meeting{channel: channel, change: func(f int, b []byte) ([]byte, bool) {
			if f == answer {
				return downgraded(t, b), false
			}
			return b, false
		}})
		attack("another channel", meeting{channel: channel, change: func(f int, b []byte) ([]byte, bool) {
			if f == hello {
				b[6] ^= byte(wire.ChannelData ^ wire.ChannelControl)
			}
			return b, false
		}})
		attack("guess a proof", meeting{channel: channel, change: func(f int, b []byte) ([]byte, bool) {
			switch f {
			case hello:
				mine = b
			case answer:
				theirs = b
			case proof:
				return other.ClientProof(mine, theirs), false
			}
			return b, false
		}})
	}
	t.Logf("%d attacks, %d got in", tried, in)
	if tried < 700 {
		t.Errorf("only %d attacks", tried)
	}
}

// downgraded returns a flight's preamble as it would be with method 0.
func downgraded(t *testing.T, flight []byte) []byte {
	t.Helper()
	p, err := wire.DecodePreamble(flight[:wire.PreambleSize])
	if err != nil {
		t.Fatal(err)
	}
	p.Auth, p.Extra = wire.AuthNone, 0
	return p.Append(nil)
}

// Who has which secret, and what both ends say of it.
func TestAuthSecrets(t *testing.T) {
	none, one, two := wire.Secret{}, testSecret(t, strings.Repeat("1", wire.MinSecret)), testSecret(t, strings.Repeat("2", wire.MaxSecret))
	const left = "the client left in the middle of the handshake"
	for _, c := range []struct {
		name           string
		client, server wire.Secret
		clientSays     string // "" for no error
		serverSays     string
	}{
		{"none", none, none, "", ""},
		{"the same", one, one, "", ""},
		{"the longest", two, two, "", ""},
		{"others", one, two, "server host:1 has another secret", left},
		{"client without", none, one, "server host:1 takes only clients with the cluster's secret, and this one gave none", "gave none"},
		{"server without", one, none, "server host:1 has no secret, and this client has one", "has no secret"},
	} {
		for _, channel := range []wire.Channel{wire.ChannelData, wire.ChannelControl} {
			m := meeting{channel: channel, client: c.client, server: c.server}
			clientErr, serverErr := m.direct(t)
			for err, says := range map[error]string{clientErr: c.clientSays, serverErr: c.serverSays} {
				switch {
				case err == nil && says == "":
				case !errors.Is(err, wire.CodeUnauthenticated) || !strings.Contains(err.Error(), says):
					t.Errorf("%s, %s: %v, want %q", c.name, channel, err, says)
				}
			}
			if (clientErr == nil) != (c.clientSays == "") || (serverErr == nil) != (c.serverSays == "") {
				t.Errorf("%s, %s: client: %v, server: %v", c.name, channel, clientErr, serverErr)
			}
		}
	}
}

// direct is run without anybody on the path.
func (m *meeting) direct(t *testing.T) (clientErr, serverErr error) {
	t.Helper()
	ca, cb := tcpPair(t)
	client, server := newConn(t, ca, patient), newConn(t, cb, patient)
	serverDone := async(func() error {
		_, err := server.Accept(&Acceptor{Name: "host:1", Fingerprint: 0x42, Index: 1, Secret: m.server})
		if err == nil { // a request comes right behind the handshake
			_, _, err = server.Read()
		}
		return err
	})
	clientErr = client.greet(&Dialer{Addr: "host:1", Fingerprint: 0x42, Index: 1, Secret: m.client}, m.channel)
	if clientErr == nil {
		clientErr = client.Write(1, 0, wire.Empty{T: wire.TypeHealth})
	} else {
		client.Close()
	}
	return clientErr, serverDone()
}

// A wrong proof is slow to be answered, and nothing else is.
func TestAuthSlow(t *testing.T) {
	secret := testSecret(t, "correct horse battery staple")
	for _, wrong := range []bool{false, true} {
		ca, cb := tcpPair(t)
		server := newConn(t, cb, patient)
		slowed := 0
		serverDone := async(func() error {
			_, err := server.Accept(&Acceptor{Fingerprint: 0x42, Secret: secret, Slow: func() { slowed++ }})
			return err
		})
		p := wire.Preamble{Version: wire.Version, MinVersion: wire.Version, Channel: wire.ChannelData, Auth: wire.AuthSecret, Fingerprint: 0x42, Extra: wire.ClientExtra}
		mine := wire.AppendNonce(p.Append(nil))
		if _, err := ca.Write(mine); err != nil {
			t.Fatal(err)
		}
		theirs := make([]byte, wire.PreambleSize+wire.ServerExtra)
		if _, err := io.ReadFull(ca, theirs); err != nil {
			t.Fatal(err)
		}
		sent := secret.ClientProof(mine, theirs)
		if wrong {
			sent[0]++
		}
		if _, err := ca.Write(sent); err != nil {
			t.Fatal(err)
		}
		if err := ca.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if err := serverDone(); errors.Is(err, wire.CodeUnauthenticated) != wrong || (slowed == 1) != wrong {
			t.Errorf("wrong %v: %v, slowed down %d times", wrong, err, slowed)
		}
	}
}
