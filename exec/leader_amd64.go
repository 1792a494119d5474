package exec

import (
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// canLead says whether newLeader works on this processor.
const canLead = true

// cloneLeader starts a process that makes itself the leader of a process group and ends,
// and returns its number, or an errno as a negative number. All signals must be blocked.
func cloneLeader() (pid int)

// newLeader returns the number of a new process group. Its leader is a zombie, that the
// caller reaps. The caller keeps its thread until then.
//
// None of a pipeline's programs can be the leader: in bash none is, and timeout(1) would
// send its signal to the others, setsid(1) would not wait.
func newLeader() (int, error) {
	// In the child a signal's handler would run on memory that is the parent's.
	all := unix.Sigset_t{}
	for i := range all.Val {
		all.Val[i] = math.MaxUint64
	}
	var before unix.Sigset_t
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &before); err != nil {
		return 0, os.NewSyscallError("sigprocmask", err)
	}
	pid := cloneLeader()
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) // as it was
	if pid < 0 {
		return 0, os.NewSyscallError("clone", syscall.Errno(-pid))
	}
	return pid, nil
}
