package exec

import (
	"bytes"
	"runtime"
	"syscall"
	"testing"
	"time"
)

func TestStderrAsWritten(t *testing.T) {
	want := "100%s %n %d %%\n\x00\xff\xfe\r\n\x1b[0m no newline"
	_, res := run(t, `printf '100%%s %%n %%d %%%%\n\0\xff\xfe\r\n\x1b[0m no newline' >&2`)
	if string(res.Stderr) != want || res.StderrBytes != int64(len(want)) {
		t.Errorf("got %q, %d bytes", res.Stderr, res.StderrBytes)
	}
}

func TestStderrTail(t *testing.T) {
	for _, test := range []struct {
		keep int
		want string
	}{{4, "6789"}, {10, "0123456789"}, {11, "0123456789"}, {-1, ""}} {
		_, res := runIn(t, Cmd{Script: `printf 01234 >&2; printf 56789 >&2`, Dir: t.TempDir(), StderrTail: test.keep})
		if string(res.Stderr) != test.want || res.StderrBytes != 10 {
			t.Errorf("keep %d: got %q, %d bytes", test.keep, res.Stderr, res.StderrBytes)
		}
	}
}

func TestStderrFlood(t *testing.T) {
	const size, keep = 64 << 20, 4 << 10
	dir := t.TempDir()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	res, err := Run(t.Context(), Cmd{Script: `head -c 67108864 /dev/zero >&2; printf end >&2`, Dir: dir, Env: env, StderrTail: keep})
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if res.ExitCode != 0 || res.StderrBytes != size+3 {
		t.Errorf("code %d, %d bytes", res.ExitCode, res.StderrBytes)
	}
	if want := string(make([]byte, keep-3)) + "end"; string(res.Stderr) != want {
		t.Errorf("got %d bytes, ending in %q", len(res.Stderr), res.Stderr[max(0, len(res.Stderr)-10):])
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("allocated %d bytes for a %d byte tail", used, keep)
	}
}

// All that was written before the end must arrive, however late it is read.
func TestStderrComplete(t *testing.T) {
	dir := t.TempDir()
	for range 20 {
		_, res := runIn(t, Cmd{Script: `head -c 60000 /dev/zero >&2; printf end >&2; kill -9 $$`, Dir: dir})
		if res.StderrBytes != 60003 || !bytes.HasSuffix(res.Stderr, []byte("end")) {
			t.Fatalf("got %d bytes", res.StderrBytes)
		}
	}
}

// A process that has left the group may read what others write to standard error, and keep
// that open. Run does not wait for what is not there any more.
func TestStderrReadByAnother(t *testing.T) {
	dir := t.TempDir()
	ended := make(chan error, 1)
	go func() {
		_, err := Run(t.Context(), Cmd{
			Script: `setsid cat </dev/stderr >/dev/null & echo $! >pid; for i in {1..20000}; do echo $i >&2; done`,
			Dir:    dir, Env: env, StderrTail: 1 << 10,
		})
		ended <- err
	}()
	eventually(t, "the other process runs", func() bool { _, ok := readPid(dir + "/pid"); return ok })
	pid := mustPid(t, dir+"/pid")
	defer func() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		eventually(t, "the other process is gone", func() bool { return !runs(pid) })
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("Run waits for the other process")
	}
}
