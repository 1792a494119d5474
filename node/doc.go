// Package node is the s4 server: it stores keys as files, serves the two
// channels of the protocol, and runs its part of jobs.
//
//	listener ── session ─┬─ data:    put, get, push, eval ──┐
//	                     └─ control: list, remove, job ─────┤
//	                                                        ▼
//	  drive ── job ── scheduler ── exec.Run ── stage ──────▶ store ── files
//	    │       └─ record                       └─ push ─▶ peers
//	    └─ the client lost after PREPARED: settle ─▶ peers
//
// A session reads requests. A job has a goroutine of its own, drive, which answers
// to a client, an interface of two methods, and knows no session; what ends a job
// early comes as an event, and state.go says what becomes of it.
//
// The store is the only code that touches the data directory, its commit the
// only way a key appears; the exec package the only code that starts
// processes; the s4 package decides placement. The file system is the index, so a
// restart loses only running jobs, which end with the server. A job that has promised
// to publish is kept, and settled with the peers.
package node
