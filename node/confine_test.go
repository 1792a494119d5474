package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

// nobody is the number of the user of that name.
const nobody = 65534

// startAsNobody runs two nodes whose commands run as nobody.
func startAsNobody(t *testing.T) (*nodetest.Cluster, *s4.Client) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can run commands as another user")
	}
	confinement, err := node.Confine("nobody", node.TaskLimits{})
	if err != nil {
		t.Fatal(err)
	}
	top, err := os.MkdirTemp("/tmp", "s4-test-") // what is above a t.TempDir may be closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	if err := os.Chmod(top, 0o755); err != nil {
		t.Fatal(err)
	}
	c := nodetest.StartIn(t, filepath.Join(top, "data"), 2, node.Config{Confinement: confinement})
	return c, c.Client(t, nil)
}

// probing is a script that prints what it can do that it should not.
const probing = `
can() { if "$@" >/dev/null 2>&1; then echo "can $*"; fi; }
data=${S4_FILE%/b/in/*}
create() { echo x >"$1"; }
id -u; id -g; echo "$HOME $USER $LOGNAME"
can create "$data/b/in/new"; can create "$data/new"; can create "$data/_s4/new"; can create "$S4_FILE"
can rm -f "$S4_FILE"; can mv "$S4_FILE" "$S4_FILE.old"; can chmod 777 "$S4_FILE"; can ln "$S4_FILE" link
can create /proc/self/fd/0
can ls "$data/_s4"; can ls "$data/_s4/jobs"; can ls "$data/_s4/history"; can cat "$data/_s4/lock"
can ls "$TMPDIR/.."; can ls "$TMPDIR/../stage"; can ls "$TMPDIR/../tasks"
for f in info log inputs; do can cat "$TMPDIR/../$f"; done
can ls "$data/_s4/jobs/$OTHER"; can ls "$data/_s4/jobs/$OTHER/stage"; can cat "$data/_s4/jobs/$OTHER/log"
can kill -0 "$SERVER"; can kill -TERM "$SERVER"
echo x >"$TMPDIR/mine"; echo y >mine; cat mine "$TMPDIR/mine" "$S4_FILE"
echo out >>/dev/stdout; echo err >>/dev/stderr
mkdir closed; touch closed/file; chmod 0 closed
`

func TestCommandsOfAnotherUser(t *testing.T) {
	c, client := startAsNobody(t)
	put(t, client, "b/in/000_a", []byte("first\n"))
	put(t, client, "b/in/001_a", []byte("second\n"))
	put(t, client, "b/one/000", []byte("z\n"))

	// Another job, of which a task runs meanwhile.
	waits, cancel := context.WithCancel(guarded(t))
	other := make(chan error, 1)
	go func() {
		_, err := client.Map(waits, "s4://b/one/", "s4://b/other/", "echo part; sleep 1000", nil)
		other <- err
	}()
	var otherJob string
	nodetest.Eventually(t, "the other job runs", func() bool {
		dirs, _ := filepath.Glob(filepath.Join(c.Data(0), "_s4/jobs/*/tasks/*"))
		if len(dirs) == 1 {
			otherJob = filepath.Base(filepath.Dir(filepath.Dir(dirs[0])))
		}
		return len(dirs) == 1
	})
	script := fmt.Sprintf("OTHER=%s SERVER=%d", otherJob, os.Getpid()) + probing
	if _, err := client.Map(guarded(t), "s4://b/in/", "s4://b/probed/", script, nil); err != nil {
		t.Fatal(err)
	}
	want := "65534\n65534\n/nonexistent nobody nobody\ny\nx\n"
	if got := get(t, client, "b/probed/000_a"); got != want+"first\nout\n" {
		t.Errorf("the command printed\n%swant\n%s", got, want+"first\nout\n")
	}
	cancel()
	<-other
}

// All that runs commands works as another user, and what they have written becomes the
// server's.
func TestVerbsAsAnotherUser(t *testing.T) {
	c, client := startAsNobody(t)
	keys := []string{"b/in/000_a", "b/in/001_a", "b/in/002_b", "b/in/003_b"}
	for _, key := range keys {
		put(t, client, key, []byte("line of "+key+"\n"))
	}
	asset := filepath.Join(t.TempDir(), "upper")
	if err := os.WriteFile(asset, []byte("#!/bin/bash\nid -u\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(what string, f func(context.Context) (s4.JobResult, error)) {
		t.Helper()
		if _, err := f(guarded(t)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	run("map, direct", func(ctx context.Context) (s4.JobResult, error) {
		return client.Map(ctx, "s4://b/in/", "s4://b/direct/", "id -u", nil)
	})
	run("map, pipeline", func(ctx context.Context) (s4.JobResult, error) {
		return client.Map(ctx, "s4://b/in/", "s4://b/pipeline/", "id -u | sort", nil)
	})
	run("map, bash with a file that came along", func(ctx context.Context) (s4.JobResult, error) {
		return client.Map(ctx, "s4://b/in/", "s4://b/bash/", "true; upper", &s4.JobOptions{Files: []s4.JobFile{{Path: asset}}})
	})
	run("map in batches", func(ctx context.Context) (s4.JobResult, error) {
		return client.Map(ctx, "s4://b/in/", "s4://b/batch/", `cat /dev/stdin "$@" >all; while IFS=$'\t' read -r key in out; do id -u >"$out"; done <"$S4_BATCH"`, &s4.JobOptions{Batch: 10})
	})
	run("map-to-n", func(ctx context.Context) (s4.JobResult, error) {
		return client.MapToN(ctx, "s4://b/in/", "s4://b/shuffled/", "id -u >000; mkdir d; id -u >d/001; echo 000; echo d/001", nil)
	})
	run("map-from-n", func(ctx context.Context) (s4.JobResult, error) {
		return client.MapFromN(ctx, "s4://b/in/", "s4://b/merged/", `id -u; xargs -d '\n' cat </dev/stdin >all`, nil)
	})
	var out bytes.Buffer
	if exit, err := client.Eval(guarded(t), "s4://b/in/000_a", "cat; id -u; id -G >>/dev/stdout", &out, nil, nil); err != nil || exit != (s4.ExitStatus{}) || out.String() != "line of b/in/000_a\n65534\n65534\n" {
		t.Errorf("eval: %v, %v, %q", exit, err, out.String())
	}
	for _, terminal := range []*s4.Terminal{nil, {Type: "dumb"}} {
		out.Reset()
		script := "id -u >file; tee /dev/stderr <file >>/dev/stdout; cat $S4_FILE; exit\n"
		exit, err := client.Shell(guarded(t), "s4://b/in/000_a", strings.NewReader(script), &out, &out, &s4.ShellOptions{Terminal: terminal})
		if got := strings.ReplaceAll(out.String(), "\r", ""); err != nil || exit != (s4.ExitStatus{}) || !strings.Contains(got, "65534\n65534\nline of b/in/000_a\n") {
			t.Errorf("shell: %v, %v, %q", err, exit, got)
		}
	}
	for _, dir := range []string{"direct", "pipeline", "bash", "batch", "shuffled", "merged"} {
		names := list(t, client, "b/"+dir+"/")
		if len(names) < 4 {
			t.Errorf("%s: only %q", dir, names)
		}
		for _, name := range names {
			if got := get(t, client, name); got != "65534\n" {
				t.Errorf("%s: %q", name, got)
			}
			keys = append(keys, name)
		}
	}
	// Nobody's directories are gone, and keys are the server's.
	slices.Sort(keys)
	clean(t, []string{c.Data(0), c.Data(1)}, keys...)
	for i := range 2 {
		err := filepath.WalkDir(c.Data(i), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			fi, err := d.Info()
			if err != nil {
				return err
			}
			if st := fi.Sys().(*syscall.Stat_t); st.Uid != uint32(os.Geteuid()) || fi.Mode()&0o022 != 0 {
				t.Errorf("%s: of user %d, mode %v", path, st.Uid, fi.Mode())
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// A command that knows where the next ones will run cannot have the server write through
// links that it puts there.
func TestLinksOfAnotherUser(t *testing.T) {
	c, client := startAsNobody(t)
	const keys = 30
	for i := range keys {
		put(t, client, fmt.Sprintf("b/in/%03d", 2*i), []byte("x"))
	}
	victim := filepath.Join(t.TempDir(), "victim")
	const text = "not to be written to"
	if err := os.WriteFile(victim, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(guarded(t))
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		var dirs []string
		for len(dirs) == 0 && ctx.Err() == nil {
			dirs, _ = filepath.Glob(filepath.Join(c.Data(0), "_s4/jobs/*/tasks"))
		}
		// The thread has the file permissions of nobody from now on, and ends with this.
		runtime.LockOSThread()
		if _, err := unix.SetfsgidRetGid(nobody); err != nil {
			t.Error(err)
		}
		if _, err := unix.SetfsuidRetUid(nobody); err != nil {
			t.Error(err)
		}
		var names []string
		for i := range keys {
			names = append(names, fmt.Sprintf("%s/%d.files/batch", dirs[0], i))
		}
		for ctx.Err() == nil {
			for i, name := range names {
				if err := unix.Symlink(victim, name); err == nil || err == unix.EEXIST {
					names = slices.Delete(names, i, i+1) // or it would be in the way of its removal
					break
				}
			}
		}
	})
	_, err := client.Map(ctx, "s4://b/in/", "s4://b/out/", `while IFS=$'\t' read -r key in out; do cp "$in" "$out"; done <"$S4_BATCH"`, &s4.JobOptions{Batch: 1})
	cancel()
	if err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(victim); err != nil || string(got) != text {
		t.Errorf("the server wrote %q, %v", got, err)
	}
}

func TestConfineRefuses(t *testing.T) {
	for name, want := range map[string]string{
		"no-such-user": "no such user",
		"root":         "that is root itself",
		"0":            "that is root itself",
	} {
		if os.Geteuid() != 0 {
			want = "only root can"
		}
		if c, err := node.Confine(name, node.TaskLimits{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %q", name, c, err, want)
		}
	}
	if c, err := node.Confine("", node.TaskLimits{Memory: 1 << 30}); err == nil {
		c.Close()
	} else if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "cgroup") {
		t.Error(err)
	}
	if os.Geteuid() != 0 {
		t.Skip("the rest takes root")
	}
	confinement, err := node.Confine(fmt.Sprint(nobody), node.TaskLimits{})
	if err != nil {
		t.Fatal(err)
	}
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = node.StartLocal(filepath.Join(closed, "data"), 1, 0, node.Config{Confinement: confinement})
	if err == nil || !strings.Contains(err.Error(), "user nobody cannot enter ") {
		t.Errorf("a closed directory: %v", err)
	}
	// The directory of a server that ran as the user before.
	top, err := os.MkdirTemp("/tmp", "s4-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(top)
	if err := errors.Join(os.Chmod(top, 0o755), os.Mkdir(top+"/data", 0o500), os.Chown(top+"/data", nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	_, err = node.StartLocal(filepath.Join(top, "data"), 1, 0, node.Config{Confinement: confinement})
	if err == nil || !strings.Contains(err.Error(), "user nobody can write to "+top+"/data, ") {
		t.Errorf("a directory of the user's: %v", err)
	}
}
