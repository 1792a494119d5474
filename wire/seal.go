package wire

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"strings"
)

// How long the random salt of sealed text is, in bytes, and how much longer than the text
// it is: the tag of AES-GCM (NIST SP 800-38D, section 5.2.1.2).
const (
	SaltSize  = 32
	SealExtra = 16
)

// sealLabel sets the keys of sealed texts apart from all else that a secret is for.
const sealLabel = "s4 job secrets 1\x00"

// Seal returns variables of a job which only who has the secret can read, or change: text
// by AES-256-GCM, with a key that HKDF-SHA256 (RFC 5869) makes of the secret, a random
// salt and the job's ID. What was sealed for one job is none of another.
func (s Secret) Seal(job uint64, text string) *Secrets {
	salt := make([]byte, SaltSize)
	_, _ = rand.Read(salt) // it never fails, says its documentation
	return s.sealWith(job, salt, text)
}

func (s Secret) sealWith(job uint64, salt []byte, text string) *Secrets {
	aead, nonce := s.sealer(job, salt)
	return &Secrets{Salt: string(salt), Text: string(aead.Seal(nil, nonce, []byte(text), nil))}
}

// Unseal is the reverse of Seal. Its error, of kind unauthenticated, says nothing of the
// text. Text that is not sealed is accepted only where there is no secret.
func (s Secret) Unseal(job uint64, m *Secrets) (string, error) {
	switch sealed := m.Salt != ""; {
	case !sealed && s.IsSet():
		return "", Errorf(CodeUnauthenticated, "the job's secrets are not sealed, and the cluster has a secret")
	case !sealed:
		return m.Text, nil
	case !s.IsSet():
		return "", Errorf(CodeUnauthenticated, "the job's secrets are sealed, and this server has no secret")
	}
	aead, nonce := s.sealer(job, []byte(m.Salt))
	text, err := aead.Open(nil, nonce, []byte(m.Text), nil)
	if err != nil {
		return "", Errorf(CodeUnauthenticated, "the job's secrets were sealed for another job, or with another secret")
	}
	return string(text), nil
}

// sealer returns what seals one text, and the only nonce it is used with: every salt has
// a key of its own.
func (s Secret) sealer(job uint64, salt []byte) (cipher.AEAD, []byte) {
	info := string(binary.BigEndian.AppendUint64([]byte(sealLabel), job))
	key, err := hkdf.Key(sha256.New, []byte(*s.key), salt, info, 32)
	if err != nil {
		panic(err) // 32 bytes are not too many, and there is no other error
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // 32 bytes are a key's length
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has blocks of 16 bytes
	}
	return aead, make([]byte, aead.NonceSize())
}

// JoinVariables returns the text of Secrets that holds variables, each NAME=VALUE. An
// error, of kind bad-request, tells no value.
func JoinVariables(vars []string) (string, error) {
	seen := make(map[string]bool)
	for _, v := range vars {
		name, value, ok := strings.Cut(v, "=")
		switch {
		case !ok || !isVariable(name):
			return "", Errorf(CodeBadRequest, "a secret variable is NAME=VALUE, where NAME has letters, digits and _, and no digit first")
		case isReserved(name):
			return "", Errorf(CodeBadRequest, "secret variable %s: a task has a variable of that name already", name)
		case strings.IndexByte(value, 0) >= 0:
			return "", Errorf(CodeBadRequest, "secret variable %s: no variable can hold a zero byte", name)
		case seen[name]:
			return "", Errorf(CodeBadRequest, "secret variable %s: given twice", name)
		}
		seen[name] = true
	}
	text := strings.Join(vars, "\x00")
	if len(text) > MaxSecrets {
		return "", Errorf(CodeTooLarge, "secret variables of %d bytes, at most %d", len(text), MaxSecrets)
	}
	return text, nil
}

// Variables is the reverse of JoinVariables.
func Variables(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	vars := strings.Split(text, "\x00")
	_, err := JoinVariables(vars)
	return vars, err
}

func isVariable(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '_' && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// isReserved reports whether a task has a variable of the name from its server, or bash
// takes it for itself.
func isReserved(name string) bool {
	switch name {
	case "filename", "TMPDIR", "LC_ALL", "PATH", "IFS", "ENV", "SHELLOPTS":
		return true
	}
	return strings.HasPrefix(name, "S4_") || strings.HasPrefix(name, "BASH")
}
