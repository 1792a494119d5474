package s4

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/nathants/s4/wire"
)

// Secret is what the servers and clients of a cluster must know to take part in it. The
// zero value is none. It prints and encodes as a word that tells nothing of it.
type Secret = wire.Secret

// NewSecret returns the secret that text holds: 16 to 1024 bytes, without the white space
// around them. As whoever sees a connection begin may guess at it, it should be as random
// as that of CreateSecret.
func NewSecret(text []byte) (Secret, error) { return wire.NewSecret(text) }

// SecretFile returns which file has the secret: path if it is not empty, else
// $S4_SECRET_FILE, which may be empty, too: there is none then.
func SecretFile(path string) string {
	if path != "" {
		return path
	}
	return os.Getenv("S4_SECRET_FILE")
}

// LoadSecret reads the secret from SecretFile(path). If that is empty, there is none, and
// LoadSecret returns the zero value. A file that others than its owner can read is
// refused. If there is no such file, the error is fs.ErrNotExist.
func LoadSecret(path string) (Secret, error) {
	path = SecretFile(path)
	if path == "" {
		return Secret{}, nil
	}
	text, err := readPrivate(path)
	if err != nil {
		return Secret{}, err
	}
	secret, err := NewSecret(text)
	if err != nil {
		var we *wire.Error
		errors.As(err, &we)
		return Secret{}, fmt.Errorf("secret file %s: %s (make one with 's4 secret FILE')", path, we.Text)
	}
	return secret, nil
}

// maxSecretFile is how long a file may be: a secret and some white space.
const maxSecretFile = 4 << 10

// readPrivate reads a file that only its owner can read.
func readPrivate(path string) ([]byte, error) {
	// Without O_NONBLOCK, a named pipe would be waited for (open(2)).
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, secretFileError(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, secretFileError(path, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("secret file %s is no regular file", path)
	case info.Mode()&0o077 != 0:
		return nil, fmt.Errorf("secret file %s can be read or written by others, its mode is %04o (chmod 600 %[1]s)", path, info.Mode().Perm())
	case info.Size() > maxSecretFile:
		return nil, fmt.Errorf("secret file %s has %d bytes, and a secret has %d to %d", path, info.Size(), wire.MinSecret, wire.MaxSecret)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecretFile))
	if err != nil {
		return nil, secretFileError(path, err)
	}
	return text, nil
}

// secretFileError words why a secret file cannot be read.
func secretFileError(path string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err // which does not name the path once more
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("secret file %s: %w (copy that of the cluster there, or make one with 's4 secret FILE')", path, err)
	}
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("secret file %s: %w (name another, or remove it if no cluster has it)", path, err)
	}
	return fmt.Errorf("secret file %s: %w", path, err)
}

// secretBytes is how many random bytes a secret is made of: the size of the hash that
// proofs are made with (RFC 2104, section 3).
const secretBytes = 32

// CreateSecret makes a random secret and writes it to a new file, which only its owner
// can read. If the file exists, the error is fs.ErrExist.
func CreateSecret(path string) error {
	var random [secretBytes]byte
	_, _ = rand.Read(random[:]) // it never fails, says its documentation
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("secret file %s: there is no directory %s (make it first)", path, filepath.Dir(path))
	}
	if err != nil {
		return secretFileError(path, err)
	}
	_, err = fmt.Fprintln(f, hex.EncodeToString(random[:]))
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(path)
		return secretFileError(path, err)
	}
	return nil
}
