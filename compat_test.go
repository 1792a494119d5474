package s4_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
)

// TestCompat calls every function of the original package as its users do.
func TestCompat(t *testing.T) {
	local, err := node.StartLocal(t.TempDir(), 3, 0, node.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := local.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	servers, err := s4.GetServers(local.Cluster.Path)
	if err != nil || len(servers) != 3 {
		t.Fatal(servers, err)
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	src := filepath.Join(dir, "src")
	check(os.Mkdir(src, 0o777))
	check(os.WriteFile(filepath.Join(src, "000"), []byte("b\na\n"), 0o666))
	check(os.WriteFile(filepath.Join(src, "001"), []byte("c\n"), 0o666))

	check(s4.Cp(src, "s4://b/in/", true, servers))
	check(s4.PutFile(filepath.Join(src, "000"), "s4://b/one/", servers))
	check(s4.PutReader(strings.NewReader("x"), "s4://b/one/x", servers))
	if err := s4.PutReader(strings.NewReader("x"), "s4://b/one/x", servers); !errors.Is(err, s4.Err409) {
		t.Errorf("second put: %v", err)
	}
	if err := s4.Cp("a", "b", false, servers); err == nil {
		t.Error("cp of two local files succeeded")
	}
	check(s4.GetFile("s4://b/one/x", dir+"/", servers))
	if b, err := os.ReadFile(filepath.Join(dir, "x")); string(b) != "x" {
		t.Errorf("%q, %v", b, err)
	}
	var out bytes.Buffer
	check(s4.GetWriter("s4://b/in/000", &out, servers))
	if out.String() != "b\na\n" {
		t.Errorf("%q", out.String())
	}
	if got, err := s4.Eval("s4://b/in/000", "sort", servers); got != "a\nb\n" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := s4.Eval("s4://b/in/000", "echo why >&2; exit 3", servers); err == nil || !strings.Contains(err.Error(), "why") {
		t.Errorf("failing eval: %v", err)
	}
	calls := 0
	check(s4.Map("s4://b/in/", "s4://b/sorted/", "sort", servers, func() { calls++ }))
	if calls == 0 {
		t.Error("progress was not called")
	}
	check(s4.MapToN("s4://b/in/", "s4://b/parts/", `split -l 1 -d -a 3 - ''; ls`, servers, nil))
	check(s4.MapFromN("s4://b/parts/", "s4://b/sums/", "xargs -d '\\n' awk 1 | sort", servers, nil))
	check(s4.Cp("s4://b/sums", filepath.Join(dir, "sums"), true, servers))
	if b, err := os.ReadFile(filepath.Join(dir, "sums", "000")); string(b) != "b\nc\n" {
		t.Errorf("%q, %v", b, err)
	}

	rows, err := s4.List("s4://b/", false, servers)
	check(err)
	var names []string
	for _, r := range rows {
		if len(r) != 4 || r[2] != "PRE" {
			t.Errorf("row %q", r)
		}
		names = append(names, r[3])
	}
	if want := []string{"in/", "one/", "parts/", "sorted/", "sums/"}; !slices.Equal(names, want) {
		t.Errorf("listed %q, want %q", names, want)
	}
	rows, err = s4.List("s4://b/in/", true, servers)
	check(err)
	if len(rows) != 2 || rows[0][2] != "4" || rows[0][3] != "in/000" {
		t.Errorf("rows %q", rows)
	}
	check(s4.Rm("s4://b/", true, servers))
	if rows, err := s4.ListBuckets(servers); err != nil || len(rows) != 0 {
		t.Errorf("after rm: %q, %v", rows, err)
	}
	if err := s4.Rm("s4://b/in/000", false, servers); !errors.Is(err, s4.ErrNotFound) {
		t.Errorf("rm of nothing: %v", err)
	}
}
