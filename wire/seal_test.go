package wire

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func newVectorSecret(t testing.TB) Secret {
	t.Helper()
	secret, err := NewSecret([]byte(vectorSecret))
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// What is sealed can be read with the secret, for the job, and as it was sealed only.
func TestSeal(t *testing.T) {
	secret := newVectorSecret(t)
	const text = "TOKEN=sesame"
	m := secret.Seal(42, text)
	if got, err := secret.Unseal(42, m); err != nil || got != text {
		t.Fatalf("%q, %v", got, err)
	}
	if again := secret.Seal(42, text); again.Salt == m.Salt || again.Text == m.Text {
		t.Error("the same text is sealed in the same way twice")
	}
	if strings.Contains(m.Salt+m.Text, "sesame") || len(m.Text) != len(text)+SealExtra {
		t.Errorf("sealed as %x", m.Text)
	}
	other, err := NewSecret([]byte(vectorSecret + "s"))
	if err != nil {
		t.Fatal(err)
	}
	refused := func(s Secret, job uint64, m Secrets) {
		t.Helper()
		got, err := s.Unseal(job, &m)
		if got != "" {
			t.Errorf("read %q", got)
		}
		isError(t, err, CodeUnauthenticated)
	}
	refused(secret, 43, *m)
	refused(other, 42, *m)
	refused(Secret{}, 42, *m)
	refused(secret, 42, Secrets{Text: text})
	refused(secret, 42, Secrets{Salt: m.Salt, Text: m.Text[:SealExtra-1]})
	for i := range m.Text {
		b := []byte(m.Text)
		b[i] ^= 1
		refused(secret, 42, Secrets{Salt: m.Salt, Text: string(b)})
	}
	for i := range m.Salt {
		b := []byte(m.Salt)
		b[i] ^= 1
		refused(secret, 42, Secrets{Salt: string(b), Text: m.Text})
	}
	if got, err := (Secret{}).Unseal(42, &Secrets{Text: text}); err != nil || got != text {
		t.Errorf("without a secret: %q, %v", got, err)
	}
}

// Other programs seal in the same way: PROTOCOL.md has this vector.
func TestSealVector(t *testing.T) {
	salt := make([]byte, SaltSize)
	for i := range salt {
		salt[i] = byte(i)
	}
	m := newVectorSecret(t).sealWith(42, salt, "A=1")
	if got := fmt.Sprintf("%x", m.Text); got != sealVector {
		t.Errorf("sealed as %s", got)
	}
}

const sealVector = "1a6998c0f86be87ccbf8094497fd4c57b5affc"

func TestVariables(t *testing.T) {
	vars := []string{"A=1", "_b2=", "C=x=y z\n"}
	text, err := JoinVariables(vars)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Variables(text)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(vars) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := Variables(""); got != nil || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range [][]string{{"sesame"}, {"=sesame"}, {"1A=sesame"}, {"A-B=sesame"}, {"A=sesame\x00"}, {"A=1", "A=sesame"},
		{"S4_KEY=sesame"}, {"filename=sesame"}, {"BASH_ENV=sesame"}, {"PATH=sesame"}} {
		_, err := JoinVariables(bad)
		isError(t, err, CodeBadRequest)
		if strings.Contains(err.Error(), "sesame") {
			t.Errorf("%q: %v tells the value", bad, err)
		}
	}
	_, err = JoinVariables([]string{"A=" + strings.Repeat("x", MaxSecrets)})
	isError(t, err, CodeTooLarge)
}

// What is printed of the message tells no value.
func TestSecretsPrint(t *testing.T) {
	m := &Secrets{Text: "A=sesame"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if got := fmt.Sprintf(format, m); strings.Contains(got, "sesame") {
			t.Errorf("%s prints %s", format, got)
		}
	}
}

// FuzzUnseal makes up sealed texts and variables: none is accepted that was not sealed.
func FuzzUnseal(f *testing.F) {
	secret := newVectorSecret(f)
	m := secret.Seal(42, "A=1\x00B=2")
	f.Add(uint64(42), []byte(m.Salt), []byte(m.Text))
	f.Add(uint64(42), []byte{}, []byte("A=1\x00A=1"))
	f.Fuzz(func(t *testing.T, job uint64, salt, text []byte) {
		got, err := secret.Unseal(job, &Secrets{Salt: string(salt), Text: string(text)})
		if err == nil && !(job == 42 && bytes.Equal(salt, []byte(m.Salt)) && bytes.Equal(text, []byte(m.Text))) {
			t.Fatalf("%x is accepted as %q", text, got)
		}
		vars, err := Variables(string(text))
		if err != nil {
			isError(t, err, CodeBadRequest, CodeTooLarge)
			return
		}
		again, err := JoinVariables(vars)
		if err != nil || again != string(text) {
			t.Fatalf("%q becomes %q, %v", text, again, err)
		}
	})
}
