// Package exec runs one command in a directory of its own, and leaves nothing of it
// behind.
//
// It is the only package of s4 that starts a process. It knows no network, no
// keys and no jobs: the caller makes the directory and opens the files, this
// package starts bash, watches it, ends it and says how it went.
//
//	Run ── start ──► bash  (leads a process group; stdin and stdout are the
//	 │                 │    caller's files, nothing is copied in between)
//	 │                 └─ stderr ─► pipe ─► tail: the last N bytes, counted
//	 │
//	 ├─ wait      poll(2) of bash's pidfd and of the pipe, which is read meanwhile
//	 │            (canceled or timed out: SIGKILL the group, which brings us here)
//	 ├─ reap      exit code, signal, CPU seconds, memory
//	 ├─ kill      SIGKILL the group, by the pidfd: what bash left in the background
//	 ├─ quiesce   until nobody of the group runs: no byte is written after Run
//	 └─ drain     what is still in the stderr pipe, without waiting for its end
//
// Before Linux 6.9, and for a pipeline, the group is killed by its number. Then that comes
// before the reaping: until then a zombie pins the number.
//
// A command has ended when bash has. What it left in the background dies with
// it, process substitutions included: a script that writes through >(cmd) must
// wait for it.
//
// A process can leave its group (setsid, set -m) and so outlive Run. Run does
// not wait for such a process; [KillBelow] finds it by its working directory. A
// [Watchdog] does the same for a server that is killed.
//
// # A shell
//
// An interactive bash gives every job a group of its own. So it leads a session, on a
// [Terminal] or without one, and before it is reaped all processes of that session are
// looked for in /proc and killed. Only who calls setsid leaves it.
//
// # Without bash
//
// Bash takes longer to start than most programs need for a small file. So a script that
// is a [Pipeline], simple commands of words that mean themselves, is run without:
//
//	Run ── start ──► first ─► pipe ─► second ─► pipe ─► last
//	                 one process group; stdin is that of the first, stdout that of
//	                 the last, standard error the same file for all
//
// Nobody should be able to tell, but for the time it takes. What bash does, and what
// happens here:
//
//   - It becomes a single command, by exec without a fork, if it has read all of the
//     script with it. So here: the program leads the group, a signal that ends it is the
//     Result's, SHLVL is as it was.
//   - It waits for a pipeline, for all of it, and ends with the exit code of the last that
//     failed, or 128 plus the number of the signal that ended it. None of the programs
//     leads the group; newLeader says why that matters.
//   - It says so if a signal has ended the one whose exit code it takes, in a list of all
//     with their process ids. The same is written here, at the end of standard error.
//   - A signal to the whole group ends bash, too. Here that is known of SIGTERM, SIGINT,
//     SIGHUP and SIGQUIT only, if they end all programs: with kill 0 in a pipeline of which
//     a part has ended before, or has not been started yet, the exit code is 128 plus the
//     signal's number.
//   - It sets PWD, SHLVL and _, drops an OLDPWD that is no directory, and PS1 and PS2,
//     and changes variables that it knows: with one of those in the environment, or with
//     BASH_ENV or functions, bash runs the script. All others are passed on as they are,
//     in another order.
//   - It looks through PATH for an executable file, and past others. Here the first that is
//     there must be one, or bash looks; and one that execve(2) will take, for bash takes
//     any other for a script of its own. What depends on the directory is bash's to find.
//   - Signals are as they were when this process began, and so are the limits, umask and
//     nice value: bash changes none of them, nor does syscall.ForkExec. No file but the
//     three is open.
//   - With another LC_ALL than C it has words of its own for what it says, and may read the
//     script otherwise. Tasks have C; with another, bash runs the script.
//   - The parent of a pipeline's programs is bash, and here this process, as it is that of
//     a single command anyway.
//
// Anything else is bash's: builtins, also those that have a program of the same name,
// expansions, redirections, lists, background, and what looks as if it might be one of
// them. If a program cannot be started after all, and nothing has run yet, bash tries.
package exec
