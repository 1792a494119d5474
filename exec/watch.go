package exec

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// Watchdog is a process that outlives this one for a moment, should it be killed,
// to kill what it leaves behind. Pdeathsig does that for the bash of each Run, but
// not for bash's children: they do not inherit it (prctl(2)).
type Watchdog struct {
	cmd  *exec.Cmd
	held *os.File // the write end of the pipe that it reads; only this process has it
}

// watchScript waits for the end of the pipe that is its standard input, which
// comes when the server is gone, however it went. Then it kills every process that
// works below $DIR, or whose TMPDIR is there, until a round finds none. Those that
// the kernel does not let die, it leaves to the next start after some seconds.
//
// Bash alone does it, so it needs no program of the host but for the pause. It is
// deaf to signals that are meant for the server, which may take its time to end.
const watchScript = `trap '' HUP INT TERM
read -r
works() {
  cd -P "/proc/$1/cwd" && [[ $PWD/ == "$DIR"/* ]] && return
  mapfile -t -d '' env <"/proc/$1/environ" || return
  for v in "${env[@]}"; do
    [[ $v == TMPDIR="$DIR"/* ]] && return
  done
  return 1
}
SECONDS=0
while found=; ((SECONDS < 3)); do
  for p in /proc/[0-9]*; do
    p=${p#/proc/}
    ((p != $$)) && works "$p" && kill -KILL "$p" && found=1
  done
  [[ $found ]] || break
  cd / && sleep 0.02
done
`

// Watch starts a Watchdog for the processes whose working directory, or TMPDIR, is
// dir or below it. The caller must Close it.
//
// It is one bash for the life of this process, which sleeps in a read: starting a
// command costs nothing more for it. hold stays open in it until it has done its
// work: with the lock on what dir is in, the next process to take that lock does
// not start its commands too early.
func Watch(bash, dir string, hold *os.File) (*Watchdog, error) {
	root, err := realDir(dir)
	if err != nil {
		return nil, fmt.Errorf("watch over the processes below %q: %w", dir, err)
	}
	// Not os.Pipe, whose ends do not block: bash would have to poll.
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	r := os.NewFile(uintptr(ends[0]), "pipe")
	defer r.Close()
	w := &Watchdog{held: os.NewFile(uintptr(ends[1]), "pipe")}
	w.cmd = exec.Command(cmp.Or(bash, "bash"), "--norc", "-c", watchScript)
	w.cmd.Args[0] = "bash"
	w.cmd.Dir = "/"
	w.cmd.Env = []string{"DIR=" + root, "LC_ALL=C", "PATH=" + os.Getenv("PATH")}
	w.cmd.Stdin = r
	w.cmd.ExtraFiles = []*os.File{hold}
	// A session of its own: what a terminal sends to the server is not for it.
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := w.cmd.Start(); err != nil {
		w.held.Close()
		return nil, fmt.Errorf("watch over the processes below %s: %w", root, err)
	}
	return w, nil
}

// Close ends the Watchdog and waits for it. It kills nothing else.
func (w *Watchdog) Close() {
	_ = w.cmd.Process.Kill() // it may have ended, if somebody killed it
	_ = w.cmd.Wait()         // which says that it was killed
	w.held.Close()
}

// Ended says whether the process pid is no more, or is dead and only waits for its
// parent to notice.
func Ended(pid int) bool {
	if syscall.Kill(pid, 0) == syscall.ESRCH {
		return true
	}
	state, _, ok := processState(pid)
	return ok && (state == 'Z' || state == 'X')
}
