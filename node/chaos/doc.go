// Package chaos tests a cluster under faults. It has tests only.
//
//	load ──► proxies ──► servers, each a process of its own
//	  │         ▲           ▲
//	  │         └── faults ─┘     kill, stop, pause, cut, stall, slow, fill the disk
//	  ▼
//	history ──► check
//
// The load puts, gets, lists and removes a few names that all workers share, and runs
// jobs. What each operation was told goes into a history, for which some order of the
// operations must exist that explains it (porcupine). An operation without an answer
// may take effect at any later time, or never. A job that was told that it is done has
// all its output, one that was told that it failed has none, and any other has all or
// none. When the faults are over, the cluster must come to rest, with nothing left of
// jobs and tasks and with every key accounted for.
//
// The seed decides which faults come in which order. When they strike is up to the
// machine, so that the same seed makes a similar run and not the same.
package chaos
