package node_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
)

// A data directory that the server makes is its user's alone, and one that exists stays
// as it is.
func TestDataDirectoryMode(t *testing.T) {
	made, there := filepath.Join(t.TempDir(), "a", "made"), filepath.Join(t.TempDir(), "there")
	if err := os.Mkdir(there, 0o755); err != nil {
		t.Fatal(err)
	}
	cluster := &s4.Cluster{Servers: []s4.Server{{Address: "127.0.0.1", Port: "1"}}}
	for dir, want := range map[string]os.FileMode{made: 0o700, there: 0o755} {
		n, err := node.New(node.Config{Cluster: cluster, Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		n.Shutdown(guarded(t))
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", dir, info.Mode(), err, want)
		}
	}
}
