// Package exec runs one bash command in a directory of its own, and leaves
// nothing of it behind.
//
// It is the only package of s4 that starts a process. It knows no network, no
// keys and no jobs: the caller makes the directory and opens the files, this
// package starts bash, watches it, ends it and says how it went.
//
//	Run ── start ──► bash  (leads a process group; stdin and stdout are the
//	 │                 │    caller's files, nothing is copied in between)
//	 │                 └─ stderr ─► pipe ─► tail: the last N bytes, counted
//	 │
//	 ├─ wait      waitid(WNOWAIT): bash is over, its zombie pins the group's number
//	 │            (canceled or timed out: SIGKILL the group, which brings us here)
//	 ├─ kill      SIGKILL the group: what bash left in the background
//	 ├─ reap      exit code, signal, CPU seconds, memory
//	 ├─ quiesce   until nobody of the group runs: no byte is written after Run
//	 └─ drain     what is still in the stderr pipe, without waiting for its end
//
// A command has ended when bash has. What it left in the background dies with
// it, process substitutions included: a script that writes through >(cmd) must
// wait for it.
//
// A process can leave its group (setsid, set -m) and so outlive Run. Run does
// not wait for such a process; [KillBelow] finds it by its working directory. A
// [Watchdog] does the same for a server that is killed.
package exec
