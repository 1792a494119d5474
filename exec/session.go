package exec

import (
	"os"
	"time"
)

// killSession kills all processes of a session but its leader, which has ended and is not
// reaped yet: its zombie keeps the number from strangers. It returns when none runs any
// more, or after goneWait.
//
// There is no signal to a whole session. A process that is being forked may be missed by
// one look through /proc, but not its parent, so it looks again until there is nobody.
func killSession(id int) {
	const longest = 20 * time.Millisecond
	deadline := time.Now().Add(goneWait)
	for pause := time.Millisecond; killSessionRound(id) && time.Now().Before(deadline); pause = min(2*pause, longest) {
		time.Sleep(pause)
	}
}

// killSessionRound kills whom it finds, and reports whether there was anybody.
func killSessionRound(id int) (found bool) {
	pids, err := processes()
	if err != nil {
		return false
	}
	for _, pid := range pids {
		if pid == id || !runsIn(pid, id) {
			continue
		}
		found = true
		p, err := os.FindProcess(pid)
		if err != nil {
			continue
		}
		// It has a handle now. Its number may have gone to another process before that.
		if runsIn(pid, id) {
			_ = p.Kill() // it has ended, or may not be signaled: see killRest
		}
		_ = p.Release()
	}
	return found
}

// runsIn reports whether pid is a process of the session that has not ended.
func runsIn(pid, session int) bool {
	s, ok := processStat(pid)
	return ok && s.session == session && s.state != 'Z' && s.state != 'X'
}
