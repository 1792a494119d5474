package xfer

import (
	"errors"
	"io"
	"syscall"

	"github.com/nathants/s4/wire"
)

// How both ends of a connection prove that they have the cluster's secret: PROTOCOL.md,
// "Authentication". Whatever either has sent before is in the proofs, so that a preamble
// that somebody changes on the way, down to another method, ends the connection.

// checkAuth refuses a client that has a secret where the server has none, or the reverse.
func (a *Acceptor) checkAuth(p wire.Preamble) error {
	switch {
	case a.Secret.IsSet() && p.Auth != wire.AuthSecret:
		return wire.Errorf(wire.CodeUnauthenticated, "server %s takes only clients with the cluster's secret, and this one gave none", a.Name)
	case !a.Secret.IsSet() && p.Auth != wire.AuthNone:
		return wire.Errorf(wire.CodeUnauthenticated, "server %s has no secret, and this client has one", a.Name)
	case p.Auth == wire.AuthSecret && p.Extra != wire.ClientExtra:
		return wire.Errorf(wire.CodeBadRequest, "%d bytes of authentication, not the client's %d", p.Extra, wire.ClientExtra)
	}
	return nil
}

// proveToClient is the server's half: it sends its answer, to which it adds nonce and
// proof, and takes nothing but the client's proof then.
func (c *Conn) proveToClient(a *Acceptor, hello, answer []byte) error {
	answer = a.Secret.AppendServerProof(wire.AppendNonce(answer), hello)
	if err := c.WriteRaw(answer); err != nil {
		return err
	}
	proof := make([]byte, wire.ProofSize)
	err := c.readWhole(proof)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return wire.Errorf(wire.CodeUnauthenticated, "the client left in the middle of the handshake: it has another secret, most likely")
	case err != nil:
		return err
	case a.Secret.ClientProves(hello, answer, proof):
		return nil
	}
	failed := wire.Errorf(wire.CodeUnauthenticated, "the client does not have the secret of server %s", a.Name)
	if a.Slow != nil {
		a.Slow()
	}
	c.LastWord(0, failed)
	return failed
}

// proveToServer is the client's half. theirs is the server's preamble, as decoded from
// answer. The client need not wait for what the server thinks of its proof: it knows by
// then that they have the same secret.
func (c *Conn) proveToServer(d *Dialer, hello, answer []byte, theirs wire.Preamble) error {
	if !d.Secret.IsSet() {
		if theirs.Auth != wire.AuthNone {
			return wire.Errorf(wire.CodeBadRequest, "the server answers with authentication method %d, which was not asked for", theirs.Auth)
		}
		return nil
	}
	if theirs.Auth != wire.AuthSecret || theirs.Extra != wire.ServerExtra {
		return wire.Errorf(wire.CodeUnauthenticated, "server %s does not prove that it has the secret", d.Addr)
	}
	start := len(answer)
	answer = append(answer, make([]byte, wire.ServerExtra)...)
	if err := c.readWhole(answer[start:]); err != nil {
		return err
	}
	if !d.Secret.ServerProves(hello, answer) {
		return wire.Errorf(wire.CodeUnauthenticated, "server %s has another secret", d.Addr)
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.send(d.Secret.ClientProof(hello, answer), true) // together with the first request
}
