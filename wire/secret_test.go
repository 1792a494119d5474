package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const vectorSecret = "correct horse battery staple"

// vectorFlights returns the three flights of a handshake with nonces that count up: those
// of PROTOCOL.md, but for the cluster.
func vectorFlights(s Secret) (hello, answer, proof []byte) {
	p := Preamble{Version: Version, MinVersion: Version, Channel: ChannelControl, Auth: AuthSecret, Fingerprint: 1, Index: AnyServer, Extra: ClientExtra}
	hello = p.Append(nil)
	p.IOTimeout, p.Index, p.Extra = 30000, 0, ServerExtra
	answer = p.Append(nil)
	for i := range byte(NonceSize) {
		hello, answer = append(hello, i), append(answer, 0x80+i)
	}
	answer = s.AppendServerProof(answer, hello)
	return hello, answer, s.ClientProof(hello, answer)
}

// Every byte of the three flights counts, and nothing is accepted in place of another.
func TestProofs(t *testing.T) {
	secret, err := NewSecret([]byte(vectorSecret))
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewSecret([]byte(vectorSecret + "s"))
	if err != nil {
		t.Fatal(err)
	}
	hello, answer, proof := vectorFlights(secret)
	if !secret.ServerProves(hello, answer) || !secret.ClientProves(hello, answer, proof) {
		t.Fatal("the right proofs are refused")
	}
	tried, accepted := 0, 0
	try := func(ok bool) {
		tried++
		if ok {
			accepted++
		}
	}
	// either tries a handshake of which the first two flights are not as they should be.
	either := func(h, a []byte) {
		try(secret.ServerProves(h, a))
		try(secret.ClientProves(h, a, proof))
	}
	for bit := range 8 {
		for i := range hello {
			h := bytes.Clone(hello)
			h[i] ^= 1 << bit
			either(h, answer)
		}
		for i := range answer {
			a := bytes.Clone(answer)
			a[i] ^= 1 << bit
			either(hello, a)
		}
		for i := range proof {
			p := bytes.Clone(proof)
			p[i] ^= 1 << bit
			try(secret.ClientProves(hello, answer, p))
		}
	}
	for n := range hello {
		either(hello[:n], answer)
	}
	for n := range answer {
		either(hello, answer[:n])
	}
	for n := range proof {
		try(secret.ClientProves(hello, answer, proof[:n]))
	}
	mine := answer[len(answer)-ProofSize:]
	try(secret.ClientProves(hello, answer, mine)) // the server's own, sent back
	try(secret.ServerProves(hello, append(bytes.Clone(answer[:len(answer)-ProofSize]), proof...)))
	try(secret.ServerProves(answer[:PreambleSize+NonceSize], append(hello, mine...))) // the ends swapped
	try(other.ServerProves(hello, answer))
	try(other.ClientProves(hello, answer, proof))
	try(Secret{}.ServerProves(hello, answer))
	try(Secret{}.ClientProves(hello, answer, proof))
	if accepted != 0 || tried < 3000 {
		t.Errorf("%d of %d accepted", accepted, tried)
	}
}

func TestNewSecret(t *testing.T) {
	key := strings.Repeat("k", MinSecret)
	for _, text := range []string{key, key + "\n", "\t " + key + "\r\n\v\f", strings.Repeat("k", MaxSecret), "with blanks in between\n"} {
		s, err := NewSecret([]byte(text))
		if err != nil || !s.IsSet() || *s.key != strings.TrimSpace(text) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for text, want := range map[string]string{
		"":                                  "no secret in it",
		" \n\n":                             "no secret in it",
		key[1:] + "\n":                      "a secret of 15 bytes, and one has 16 to 1024",
		strings.Repeat("k", MaxSecret+1):    "a secret of 1025 bytes, and one has 16 to 1024",
		"\u00a0\u00a0" + key[5:] + "\u2003": "a secret of 18 bytes", // white space, but not of ASCII: it counts
	} {
		s, err := NewSecret([]byte(text))
		if strings.HasPrefix(want, "a secret of 18") {
			if err != nil || len(*s.key) != 18 {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		if err == nil || s.IsSet() || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// A secret does not show, however deep it is in what is printed.
func TestSecretDoesNotShow(t *testing.T) {
	const text = "SECRETSECRETSECRET"
	s, err := NewSecret([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	type hidden struct{ secret Secret }
	type config struct {
		Secret Secret
		P      *Secret
		hidden hidden
		list   []Secret
		m      map[string]Secret
		any    any
	}
	c := config{s, &s, hidden{s}, []Secret{s}, map[string]Secret{"k": s}, s}
	var all strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c", "%U", "%t", "%b", "%o"} {
		for _, v := range []any{s, &s, c, &c, []any{c}, hidden{s}, &hidden{s}} {
			fmt.Fprintf(&all, verb+"\n", v)
		}
	}
	for _, v := range []any{s, &s, c, &c, map[string]Secret{"k": s}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(append(b, '\n'))
	}
	shown := strings.ToUpper(all.String())
	for _, as := range []string{text, fmt.Sprintf("%X", text), fmt.Sprintf("%X", text[:4]), fmt.Sprint([]byte(text)), fmt.Sprint([]byte(text[:3]))} {
		if strings.Contains(shown, strings.Trim(as, "[]")) {
			t.Errorf("it shows as %s", as)
		}
	}
	if got := fmt.Sprint(s, Secret{}); got != "secret no secret" {
		t.Errorf("prints as %q", got)
	}
}
