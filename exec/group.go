package exec

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// goneWait bounds how long Run waits for a killed group to be gone. Only a
// process that the kernel cannot interrupt, as on a dead NFS mount, takes it all.
const goneWait = 2 * time.Second

// canSignalGroups says whether pidfd_send_signal(2) can mean a process group, as it can
// since Linux 6.9.
var canSignalGroups = sync.OnceValue(func() bool {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	err = unix.PidfdSendSignal(fd, 0, nil, unix.PIDFD_SIGNAL_PROCESS_GROUP) // sends none
	return err == nil || err == unix.ESRCH                                  // this process may lead no group
})

// kill sends SIGKILL to the process group and to those that Run has started in it. Unless
// byPidfd is set, it must be called before they are reaped.
//
// Why before: kill(-pgid) means whoever has that group number at that moment.
// Once bash is reaped and its last child gone, the kernel may give the number
// to a stranger. A zombie keeps its process id, and no group of another can
// have that number meanwhile: so Run waits with WNOWAIT, kills, then reaps.
//
// Once is enough: the kernel sends a group's signal and adds a forked child
// to the group under one lock, so a child is either there to be signaled, or
// its fork is interrupted (copy_process in kernel/fork.c).
//
// They are also named one by one, for a script can exec a program that moves
// to another group, and Run waits for it wherever it is.
func (g *group) kill() {
	g.killRest()
	if g.byPidfd {
		_ = unix.PidfdSendSignal(g.procs[0].pidfd, unix.SIGKILL, nil, 0)
		return
	}
	for i := range g.procs {
		if pid := g.procs[i].pid; pid > 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// killRest is kill if those that Run has started have ended. It reports whether there was
// anybody; the zombies of those that are not reaped count.
func (g *group) killRest() bool {
	// The one error possible is that there is nobody left, or nobody that we
	// may signal (setuid programs); neither can be helped.
	if g.byPidfd {
		return unix.PidfdSendSignal(g.procs[0].pidfd, unix.SIGKILL, nil, unix.PIDFD_SIGNAL_PROCESS_GROUP) != unix.ESRCH
	}
	return syscall.Kill(-g.id, syscall.SIGKILL) != syscall.ESRCH
}

// wasKilled reports whether SIGKILL has ended any of those that Run has started.
func (g *group) wasKilled() bool {
	for i := range g.procs {
		if s := g.procs[i].status; s.Signaled() && s.Signal() == syscall.SIGKILL {
			return true
		}
	}
	return false
}

// awaitGroupGone returns when no process of a killed group runs any more, or
// after goneWait. SIGKILL acts when its target is next scheduled, or leaves a
// system call: until then it might still write to the file that is the
// command's output. Those that Run has started must be reaped.
//
// Most commands leave nobody behind, and then this is one system call, or none if
// killRest has found that. Asking by number after the reaping is safe, since
// signal 0 harms nobody: had the number gone to a stranger by now, this would
// wait in vain, no more.
func awaitGroupGone(pgid int) {
	const longest = 20 * time.Millisecond
	deadline := time.Now().Add(goneWait)
	for pause := time.Millisecond; syscall.Kill(-pgid, 0) != syscall.ESRCH; pause = min(2*pause, longest) {
		// Orphans that ended stay in the group as zombies until init reaps them,
		// which in a container may be never.
		if !groupRuns(pgid) || time.Now().After(deadline) {
			return
		}
		time.Sleep(pause)
	}
}

// groupRuns says whether any process of the group pgid is not a zombie.
func groupRuns(pgid int) bool {
	pids, err := processes()
	if err != nil {
		return false
	}
	for _, pid := range pids {
		state, group, ok := processState(pid)
		if ok && group == pgid && state != 'Z' && state != 'X' {
			return true
		}
	}
	return false
}

// processState reads the state letter and the process group from
// /proc/pid/stat; ok is false when there is no such process.
func processState(pid int) (state byte, pgid int, ok bool) {
	s, ok := processStat(pid)
	return s.state, s.group, ok
}

// stat is what /proc/pid/stat says of a process.
type stat struct {
	state          byte // a letter
	group, session int
}

// processStat reads it; ok is false when there is no such process.
func processStat(pid int) (s stat, ok bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, false
	}
	// proc_pid_stat(5): pid (comm) state ppid pgrp session ... and comm may hold
	// blanks and parentheses.
	f := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(f) < 4 {
		return stat{}, false
	}
	group, gerr := strconv.Atoi(string(f[2]))
	session, serr := strconv.Atoi(string(f[3]))
	return stat{state: f[0][0], group: group, session: session}, gerr == nil && serr == nil
}

// processes lists the process ids in /proc.
func processes() ([]int, error) {
	d, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
