// Package node is the s4 server: it stores keys as files, serves the two
// channels of the protocol, and runs its part of jobs.
//
//	listener ── session ─┬─ data:    put, get, push, eval ──┐
//	                     └─ control: list, remove, job ─────┤
//	                                                        ▼
//	  drive ── job ── scheduler ── exec.Run ── stage ──────▶ store ── files
//	    │       └─ record                       └─ push ─▶ peers
//	    ├─ the client lost: attach, or after PREPARED settle ─▶ peers
//	    └─ suspended, or the server started again: parked ── attach, restore ─▶ drive
//
// A session reads requests. A job has a goroutine of its own, drive, which answers
// to a client, an interface of two methods, and knows no session; what ends a job
// early comes as an event, and state.go says what becomes of it. Who needs both takes
// job.mu before Node.mu, and nobody writes to a client under either.
//
// The store is the only code that touches the data directory, its commit the
// only way a key appears; the exec package the only code that starts
// processes; the s4 package decides placement. The file system is the index, and has all
// of a job that outlives a restart: its tasks, those that are done, and their output. A
// restart loses only jobs without a Wait that are not to be kept. One of those that has
// promised to publish is settled with the peers.
package node
