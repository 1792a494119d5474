package node_test

import (
	"bytes"
	"encoding/hex"
	"io"
	"strconv"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/wire"
)

// docSecret is the secret of PROTOCOL.md.
const docSecret = "correct horse battery staple"

func newSecret(t testing.TB, text string) s4.Secret {
	t.Helper()
	s, err := s4.NewSecret([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// startProtoSecret is startProto for a server that has the document's secret.
func startProtoSecret(t *testing.T) *protoServer {
	t.Helper()
	return startProtoWith(t, node.Config{Dir: t.TempDir(), Secret: newSecret(t, docSecret)})
}

// The vectors of a handshake are what package wire computes, and the layout has no gaps.
func TestProtocolAuthVectors(t *testing.T) {
	at := 0
	for _, row := range docTables(t, "Offset", "Bytes", "First, from the client", "Second, from the server", "Third, from the client")[0].rows {
		if n, _ := strconv.Atoi(row[1]); row[0] != strconv.Itoa(at) || n != wire.NonceSize {
			t.Errorf("%q stands at %d", row, at)
		}
		at += wire.NonceSize
	}
	flights := make(map[string][]byte)
	for _, row := range docTables(t, "What", "Bytes")[0].rows {
		b, err := hex.DecodeString(row[1])
		if err != nil {
			t.Fatal(err)
		}
		flights[row[0]] = b
	}
	secret := newSecret(t, " \r\n"+docSecret+"\t\n")
	p := protoPreamble(wire.ChannelControl)
	p.Auth, p.Extra = wire.AuthSecret, wire.ClientExtra
	hello := p.Append(nil)
	p.Extra, p.Index, p.IOTimeout = wire.ServerExtra, 0, 30000
	answer := p.Append(nil)
	for name, want := range map[string][]byte{"client's preamble": hello, "server's preamble": answer} {
		if !bytes.Equal(flights[name], want) {
			t.Errorf("%s is %x, PROTOCOL.md says %x", name, want, flights[name])
		}
	}
	hello = append(hello, flights["client's nonce"]...)
	answer = secret.AppendServerProof(append(answer, flights["server's nonce"]...), hello)
	if got := answer[len(answer)-wire.ProofSize:]; !bytes.Equal(got, flights["server's proof"]) {
		t.Errorf("the server's proof is %x, PROTOCOL.md says %x", got, flights["server's proof"])
	}
	if got := secret.ClientProof(hello, answer); !bytes.Equal(got, flights["client's proof"]) {
		t.Errorf("the client's proof is %x, PROTOCOL.md says %x", got, flights["client's proof"])
	}
}

// A client that is written from the document comes in, on either channel, with a request
// right behind its proof.
func TestProtocolAuth(t *testing.T) {
	p := startProtoSecret(t)
	secret := newSecret(t, docSecret)
	for channel, request := range map[wire.Channel][]byte{
		wire.ChannelData:    protoPut(1, "b/hello"),
		wire.ChannelControl: wire.AppendFrame(nil, 1, 0, wire.Empty{T: wire.TypeHealth}),
	} {
		c := p.dial()
		pre := protoPreamble(channel)
		pre.Auth, pre.Extra = wire.AuthSecret, wire.ClientExtra
		hello := wire.AppendNonce(pre.Append(nil))
		c.raw(hello)
		answer := make([]byte, wire.PreambleSize+wire.ServerExtra)
		if _, err := io.ReadFull(c, answer); err != nil {
			t.Fatalf("%v, %q", err, answer)
		}
		if got, err := wire.DecodePreamble(answer[:wire.PreambleSize]); err != nil || got.Auth != wire.AuthSecret || got.Extra != wire.ServerExtra || !secret.ServerProves(hello, answer) {
			t.Fatalf("%+v, %v", got, err)
		}
		c.raw(append(secret.ClientProof(hello, answer), request...))
		if channel == wire.ChannelData {
			c.want(1, wire.TypeOK)
		} else {
			c.want(1, wire.TypeHealthInfo)
		}
		c.Close()
	}
}

// After a wrong proof the server says so, and reads nothing of what follows.
func TestProtocolAuthWrong(t *testing.T) {
	t.Parallel() // it waits a second
	p := startProtoSecret(t)
	c := p.dial()
	defer c.Close()
	pre := protoPreamble(wire.ChannelData)
	pre.Auth, pre.Extra = wire.AuthSecret, wire.ClientExtra
	c.raw(wire.AppendNonce(pre.Append(nil)))
	if _, err := io.ReadFull(c, make([]byte, wire.PreambleSize+wire.ServerExtra)); err != nil {
		t.Fatal(err)
	}
	c.raw(append(make([]byte, wire.ProofSize), protoPut(1, "b/hello")...))
	c.wantError(0, wire.CodeUnauthenticated)
	c.wantEnd()
	p.wantFiles()
}
