package node

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
)

// A file that takes the place of one of the same name does so in one step: a server that is
// killed in between has one of the two. The kernel tells of each step (inotify(7)).
func TestAssetIsReplacedInOneStep(t *testing.T) {
	n := testNode(t, t.TempDir())
	s := n.store
	p := testStage(t, s, 42)
	j := n.makeJob(&wire.Job{ID: 42}, input{}, p, wire.JobRunning)
	add := func(text string) error {
		return writeTo(s, text, func(f *tempFile) error { return j.addAsset(f.Temp, "words", false, f.sum) })
	}
	if err := add("old"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "another file of the name", add("new"), wire.CodeExists)
	dir := filepath.Join(p.path, assetsDir)
	watch, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(watch)
	if _, err := unix.InotifyAddWatch(watch, dir, unix.IN_DELETE|unix.IN_MOVED_FROM); err != nil {
		t.Fatal(err)
	}
	j.again = &wire.Attach{Again: true}
	if err := add("new"); err != nil {
		t.Fatal(err)
	}
	if n, err := unix.Read(watch, make([]byte, 4096)); err != unix.EAGAIN {
		t.Errorf("the file was gone for a moment: %d bytes of events, %v", n, err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "words")); err != nil || string(b) != "new" {
		t.Errorf("%q, %v", b, err)
	}
	wantCode(t, "a third file of the name", add("newer"), wire.CodeExists)
	for _, d := range []string{dir, s.sysPath(tmpDir, "")} {
		list, err := os.ReadDir(d)
		if err != nil || len(list) > 1 || len(list) == 1 && list[0].Name() != "words" {
			t.Errorf("%s: %v, %v", d, list, err)
		}
	}
}
