package node

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/cespare/xxhash/v2"
)

// confineToNobody returns a Confinement and a store whose directory its user can enter.
func confineToNobody(t *testing.T) (*Confinement, *store) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can run commands as another user")
	}
	c, err := Confine("nobody", TaskLimits{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := openStore(t.TempDir(), false, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return c, s
}

// What a command has left running can give the name of an output to another file, but that
// is not what is staged.
func TestSwappedOutput(t *testing.T) {
	c, s := confineToNobody(t)
	st, err := s.newStage(1)
	if err != nil {
		t.Fatal(err)
	}
	defer st.close()
	// A server without tasks of the job has its output all the same, from others.
	if fi, err := os.Stat(st.path); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("the job's directory: %v, %v", fi.Mode(), err)
	}
	dir := filepath.Join(st.path, workDir)
	const text = "what was hashed"
	file := filepath.Join(dir, "out")
	for _, err := range []error{
		os.Mkdir(dir, 0o755),
		c.give(dir),
		os.WriteFile(file, []byte(text), 0o600),
		os.Chown(file, int(c.cred.Uid), int(c.cred.Gid)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	work, err := openTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer work.close()
	n := &Node{cfg: Config{Confinement: c}}
	f, _, err := n.openOutput(work, "out")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Rename(file, file+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/hostname", file); err != nil {
		t.Fatal(err)
	}
	if err := st.add(c.output(f, work.fd(), "out"), nil, "b/k", int64(len(text)), xxhash.Sum64String(text)); err != nil {
		t.Fatal(err)
	}
	staged, status, err := openRegular(st.tree, "b/k")
	if err != nil {
		t.Fatal(err)
	}
	defer staged.Close()
	if got, err := io.ReadAll(staged); err != nil || string(got) != text || status.Uid != 0 {
		t.Errorf("staged: %q of user %d, %v", got, status.Uid, err)
	}
}
