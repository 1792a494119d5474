package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/exec"
)

// replayShell opens a shell on this machine in place of the task's command.
func (a *app) replayShell(ctx context.Context, r *replay) error {
	a.note(`the command is the file $S4_COMMAND, its standard input $S4_INPUT: bash -euo pipefail "$S4_COMMAND" <"$S4_INPUT"`)
	env := append(r.environ(), "S4_INPUT="+r.stdin(), "S4_COMMAND="+r.path("command"),
		"HISTFILE=", `PS1=[replay ${S4_KEY-$S4_JOB} \W]\$ `)
	c := exec.Cmd{Shell: true, Session: true, Dir: r.path("work"), Env: env}
	return a.onTerminal(ctx, func(ctx context.Context, t *userTerminal) error {
		var (
			res exec.Result
			err error
		)
		if t == nil {
			res, err = a.scriptShell(ctx, r, c)
		} else {
			res, err = a.terminalShell(ctx, t, c)
		}
		if err == nil {
			a.setExit(s4.ExitStatus{Code: res.ExitCode, Signal: int(res.Signal)})
		}
		return err
	})
}

// scriptShell runs a shell whose commands come from standard input, which is no terminal.
func (a *app) scriptShell(ctx context.Context, r *replay, c exec.Cmd) (res exec.Result, err error) {
	in, ok := a.stdin.(*os.File)
	if !ok {
		return res, errors.New("standard input is no file")
	}
	out, flushOut, err := r.stream("stdout", a.stdout)
	if err != nil {
		return res, err
	}
	errs, flushErr, err := r.stream("stderr", a.stderr)
	if err != nil {
		return res, errors.Join(err, flushOut())
	}
	c.Stdin, c.Stdout, c.Stderr = in, out, errs
	res, err = exec.Run(ctx, c)
	return res, errors.Join(err, flushOut(), flushErr())
}

// terminalShell runs a shell on a terminal of its own, between which and the user's it
// copies: so all of its jobs are found and end with it.
func (a *app) terminalShell(ctx context.Context, user *userTerminal, c exec.Cmd) (exec.Result, error) {
	t, err := exec.OpenTerminal(user.size.Columns, user.size.Rows)
	if err != nil {
		return exec.Result{}, err
	}
	defer t.Close()
	c.Stdin, c.Stdout, c.Stderr = t.Slave, t.Slave, t.Slave
	done := make(chan struct{})
	ended, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(a.stdout, t.Master) // until the last process is gone, or the deadline
	})
	wg.Go(func() {
		_, _ = io.Copy(t.Master, &leaving{ctx: ended, r: a.stdin})
	})
	wg.Go(func() {
		for {
			select {
			case size := <-user.resized:
				_ = t.Resize(size.Columns, size.Rows)
			case <-done:
				return
			}
		}
	})
	res, err := exec.Run(ctx, c)
	stop()
	close(done)
	t.Slave.Close()
	// All that was written can be read now, unless a process that has left the session
	// goes on.
	_ = t.Master.SetReadDeadline(time.Now().Add(leaveTime))
	_ = t.Master.SetWriteDeadline(time.Now())
	wg.Wait()
	return res, err
}
