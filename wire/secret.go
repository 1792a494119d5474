package wire

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"strings"
)

// How many bytes a secret has, without the white space around it.
const (
	MinSecret = 16
	MaxSecret = 1024
)

// secretSpace is what does not count at either end of a secret: the newline of its file.
const secretSpace = " \t\n\v\f\r"

// Secret is what all servers and clients of a cluster know, and nobody else. The zero
// value is none. It does not show in anything that prints, encodes or logs it: what a
// person may know of it is the file that it came from.
type Secret struct {
	// fmt calls no method on what is in an unexported field of something else. But
	// whatever it is told to print, it follows no pointer to a string.
	key *string
}

// NewSecret returns the secret that text holds, without the white space (of ASCII) around
// it. The error says how long one must be, and nothing of the text.
func NewSecret(text []byte) (Secret, error) {
	key := strings.Trim(string(text), secretSpace)
	switch n := len(key); {
	case n == 0:
		return Secret{}, Errorf(CodeBadRequest, "no secret in it")
	case n < MinSecret || n > MaxSecret:
		return Secret{}, Errorf(CodeBadRequest, "a secret of %d bytes, and one has %d to %d", n, MinSecret, MaxSecret)
	}
	return Secret{&key}, nil
}

// IsSet reports whether there is a secret.
func (s Secret) IsSet() bool { return s.key != nil }

// String says whether there is a secret, and nothing of it.
func (s Secret) String() string {
	if s.IsSet() {
		return "secret"
	}
	return "no secret"
}

// GoString is String, for %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText is String, for encoders such as that of JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// The labels that set the proofs of the two roles apart: none of one can be used in
// place of one of the other.
const (
	serverLabel = "s4 server 1\x00"
	clientLabel = "s4 client 1\x00"
)

// AppendNonce appends a nonce of NonceSize random bytes to b.
func AppendNonce(b []byte) []byte {
	var nonce [NonceSize]byte
	_, _ = rand.Read(nonce[:]) // it never fails, says its documentation
	return append(b, nonce[:]...)
}

// A handshake of AuthSecret has three flights, each of fixed length:
//
//	hello    client's preamble, its nonce
//	answer   server's preamble, its nonce, proof of the server
//	proof    proof of the client
//
// A proof is the HMAC-SHA256, with the secret as the key, of the label of its role and
// of all the bytes before it, of both ends. So it holds for these two preambles and
// these two nonces only.

// AppendServerProof appends the server's proof to its answer, which has all but that.
func (s Secret) AppendServerProof(answer, hello []byte) []byte {
	return append(answer, s.proof(serverLabel, hello, answer)...)
}

// ServerProves reports whether a server's answer to hello ends with the right proof.
func (s Secret) ServerProves(hello, answer []byte) bool {
	n := len(answer) - ProofSize
	return n >= 0 && s.IsSet() && hmac.Equal(answer[n:], s.proof(serverLabel, hello, answer[:n]))
}

// ClientProof returns the client's proof, for a server that has answered hello.
func (s Secret) ClientProof(hello, answer []byte) []byte { return s.proof(clientLabel, hello, answer) }

// ClientProves reports whether proof is ClientProof.
func (s Secret) ClientProves(hello, answer, proof []byte) bool {
	return s.IsSet() && hmac.Equal(proof, s.ClientProof(hello, answer))
}

func (s Secret) proof(label string, hello, answer []byte) []byte {
	mac := hmac.New(sha256.New, []byte(*s.key))
	mac.Write([]byte(label))
	mac.Write(hello)
	mac.Write(answer)
	return mac.Sum(nil)
}
