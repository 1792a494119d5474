// Package node is the s4 server: it stores keys as files, serves the two
// channels of the protocol, and runs its part of jobs.
//
//	listener ── connection ─┬─ data:    put, get, push, eval ──┐
//	                        └─ control: list, remove, job ─────┤
//	                                                           ▼
//	  job ── scheduler ── exec.Run ── stage ── shuffle        store ── files
//
// The store is the only code that touches the data directory, its commit the
// only way a key appears; the exec package the only code that starts
// processes; the s4 package decides placement. The file system is the index:
// a server has no state that a restart could lose, but for running jobs,
// which end with it.
package node
