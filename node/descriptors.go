package node

import (
	"math"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/wire"
)

// descriptors returns how many files this process can have open. Go raises the soft limit
// to the hard one when a program starts.
func descriptors() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 1024
	}
	return int(min(limit.Cur, math.MaxInt32))
}

// perJob is how many descriptors one of the jobs at once of a kind may need, by
// measurement: a task has up to eight, and what is left is for connections.
const perJob = 24

// descriptorJobs returns for how many jobs at once of a kind the descriptors suffice.
func descriptorJobs() int { return max(1, descriptors()/perJob) }

// silentConns returns how many connections may be open that have not begun as the
// protocol says. Clients do that at once; a thousand give time to those of a large
// cluster that starts a job. Others, as of a port scan, must not use up the descriptors.
func silentConns() int { return max(4, min(1024, descriptors()/4)) }

// errSilent is why a connection is dropped before it is --io-timeout old.
var errSilent = wire.Errorf(wire.CodeTimeout, "dropped for newer ones: too many connections said nothing")

// silentAge is how old a connection must be to be dropped. What a client says may come a
// moment after the connection, and many may come at once.
const silentAge = time.Second

// dropSilent closes connections that have said nothing, the oldest first, until there are
// no more than most.
func (n *Node) dropSilent(most int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	drop := 0
	for drop < len(n.silent)-most && time.Since(n.silent[drop].since) >= silentAge {
		n.silent[drop].conn.Close()
		drop++
	}
	n.silent = slices.Delete(n.silent, 0, drop)
}

// greeted notes that a connection is silent no more, or closed. It reports whether
// dropSilent has closed it.
func (n *Node) greeted(s *session) (dropped bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := slices.Index(n.silent, s)
	if i < 0 {
		return true
	}
	n.silent = slices.Delete(n.silent, i, i+1)
	return false
}
