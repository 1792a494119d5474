package bench

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// stopGrace is how long a server may take to end after a signal.
const stopGrace = 15 * time.Second

// daemon is a server process. It dies with s4-bench, whatever happens to that.
type daemon struct {
	name string
	pid  int
	done chan struct{} // closed when the process has been waited for
	log  *os.File      // its standard error, without a name on disk
	end  syscall.Signal
}

// startDaemon starts a server process, which ends by the signal end. env is added to
// the environment; stdin may be nil. The caller stops it.
func (e *Env) startDaemon(name string, args, env []string, end syscall.Signal, stdin *os.File) (*daemon, error) {
	log, err := unnamed(e.Dir)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = log
	if stdin != nil {
		cmd.Stdin = stdin
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	d := &daemon{name: name, done: make(chan struct{}), log: log, end: end}
	started := make(chan error, 1)
	go func() {
		defer close(d.done)
		// Pdeathsig is sent when the thread that forked ends (prctl(2)).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is nobody's question once it was stopped
		}
	}()
	if err := <-started; err != nil {
		<-d.done
		log.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	d.pid = cmd.Process.Pid
	return d, nil
}

// alive returns an error that quotes the process's last words if it has ended.
func (d *daemon) alive() error {
	select {
	case <-d.done:
		return fmt.Errorf("%s has ended%s", d.name, because(d.log))
	default:
		return nil
	}
}

// stop ends the process and waits for it.
func (d *daemon) stop() error {
	defer d.log.Close()
	var err error
	if d.alive() == nil {
		_ = syscall.Kill(d.pid, d.end) // it may have ended just now
		select {
		case <-d.done:
		case <-time.After(stopGrace):
			err = fmt.Errorf("%s did not end within %v of %v and was killed", d.name, stopGrace, d.end)
			_ = syscall.Kill(-d.pid, syscall.SIGKILL) // what it has started, too
		}
	}
	<-d.done
	return err
}
