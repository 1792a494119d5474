package node_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
)

func TestPutTreeOfALink(t *testing.T) {
	_, client := start(t, node.Config{})
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "real"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "real/f"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("f", filepath.Join(dir, "real/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, src := range []string{"real", "link", "link/"} {
		err := client.PutTree(guarded(t), filepath.Join(dir, strings.TrimSuffix(src, "/"))+strings.Repeat("/", strings.Count(src, "/")), "s4://b/", func(tr s4.Transfer) {
			if tr.Err != nil {
				t.Errorf("%s: %s: %v", src, tr.Path, tr.Err)
			}
		})
		if err != nil {
			t.Error(err)
		}
		if got := list(t, client, "b/"); strings.Join(got, " ") != "b/f b/link" {
			t.Errorf("%s: %q", src, got)
		}
		_, _ = client.Remove(guarded(t), "s4://b/", true)
	}
}
