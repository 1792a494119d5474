package s4_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

// Open, and the functions of the original package, have the secret from the environment.
func TestSecretFromEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := s4.CreateSecret(path); err != nil {
		t.Fatal(err)
	}
	if err := s4.CreateSecret(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made twice: %v", err)
	}
	secret, err := s4.LoadSecret(path)
	if err != nil || !secret.IsSet() {
		t.Fatal(err)
	}
	c := nodetest.Start(t, 1, node.Config{Secret: secret})
	for _, tt := range []struct {
		file string
		want error
	}{
		{"", s4.ErrUnauthenticated},
		{path, nil},
		{path + "-absent", fs.ErrNotExist},
	} {
		t.Setenv("S4_SECRET_FILE", tt.file)
		_, err := s4.ListBuckets(c.Cluster.Servers)
		if !errors.Is(err, tt.want) {
			t.Errorf("ListBuckets with %q: %v", tt.file, err)
		}
		client, err := s4.Open(c.Cluster.Path)
		if err == nil {
			err = client.Put(t.Context(), "s4://b/k", strings.NewReader("x"), 1)
			client.Close()
		}
		if !errors.Is(err, tt.want) {
			t.Errorf("Open with %q: %v", tt.file, err)
		}
	}
}

// A file that others can read or write is refused, whichever of them it is.
func TestSecretFileMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := s4.CreateSecret(path); err != nil {
		t.Fatal(err)
	}
	for mode := range os.FileMode(0o1000) {
		if mode&0o400 == 0 {
			continue // its owner cannot read it, unless that is root
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := s4.LoadSecret(path)
		if (err == nil) != (mode&0o077 == 0) || err != nil && !strings.HasSuffix(err.Error(), "(chmod 600 "+path+")") {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
}
