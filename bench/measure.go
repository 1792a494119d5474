package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// usage is what the hidden subcommand measure tells of a command.
type usage struct {
	Wall  time.Duration
	CPU   time.Duration // user and system, with all children waited for
	Peak  int64         // bytes, of the largest process
	Error string        // how it failed, or empty
}

// usageFD is where measure writes its usage.
const usageFD = 3

// measureMain runs a command and writes its usage to usageFD. It is a process
// of its own for the memory figure: the kernel starts the count of a new program
// at the size of the one that started it (see s4/exec.Result.MaxRSS). This one
// is no larger than s4 itself is before it does anything, about 5 MB, which is
// thus the least that is ever told.
func measureMain(args []string) error {
	unix.CloseOnExec(usageFD)
	out := os.NewFile(usageFD, "usage")
	// Pdeathsig is sent when the thread that forked ends (prctl(2)).
	runtime.LockOSThread()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	start := time.Now()
	err := cmd.Run()
	u := usage{Wall: time.Since(start)}
	if err != nil {
		u.Error = err.Error()
	}
	if ps := cmd.ProcessState; ps != nil {
		u.CPU = ps.UserTime() + ps.SystemTime()
		if ru, ok := ps.SysUsage().(*syscall.Rusage); ok {
			u.Peak = ru.Maxrss * 1024 // getrusage(2): kilobytes
		}
	}
	return json.NewEncoder(out).Encode(u)
}

// measure runs a side's command and returns what it and the side's servers
// used, and its standard output if the command keeps that.
func (e *Env) measure(ctx context.Context, s *Side) (Sample, []byte, error) {
	before, err := e.serversBefore(s.Servers)
	if err != nil {
		return Sample{}, nil, err
	}
	u, out, err := e.run(ctx, s.Command)
	if err != nil {
		return Sample{}, nil, err
	}
	sample := Sample{Wall: u.Wall.Seconds(), ClientCPU: u.CPU.Seconds(), ClientPeak: u.Peak, Bytes: s.Bytes, Keys: s.Keys}
	for i, pid := range s.Servers {
		after, err := cpuSeconds(pid)
		if err != nil {
			return Sample{}, nil, err
		}
		peak, err := peakBytes(pid)
		if err != nil {
			return Sample{}, nil, err
		}
		sample.ServerCPU += after - before[i]
		sample.ServerPeaks = append(sample.ServerPeaks, peak)
	}
	return sample, out, nil
}

// serversBefore resets the peaks of the servers and returns their CPU times.
func (e *Env) serversBefore(pids []int) ([]float64, error) {
	before := make([]float64, len(pids))
	for i, pid := range pids {
		if err := resetPeak(pid); err != nil {
			return nil, err
		}
		var err error
		if before[i], err = cpuSeconds(pid); err != nil {
			return nil, err
		}
	}
	return before, nil
}

// run runs a command by way of the hidden subcommand measure. A command that
// fails is an error, which quotes its standard error.
func (e *Env) run(ctx context.Context, c Command) (usage, []byte, error) {
	stderr, err := unnamed(e.Dir)
	if err != nil {
		return usage{}, nil, err
	}
	defer stderr.Close()
	stdout := c.Stdout
	if stdout == nil {
		if stdout, err = unnamed(e.Dir); err != nil {
			return usage{}, nil, err
		}
		defer stdout.Close()
	}
	told, err := unnamed(e.Dir)
	if err != nil {
		return usage{}, nil, err
	}
	defer told.Close()

	cmd := exec.CommandContext(ctx, e.self, append([]string{measureName, "--"}, c.Args...)...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if c.Stdin != nil {
		cmd.Stdin = c.Stdin
	}
	cmd.ExtraFiles = []*os.File{told}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	runtime.LockOSThread() // for Pdeathsig, as above
	defer runtime.UnlockOSThread()
	err = cmd.Run()
	if ctx.Err() != nil {
		return usage{}, nil, context.Cause(ctx)
	}
	if err != nil {
		return usage{}, nil, fmt.Errorf("%s: %w%s", measureName, err, because(stderr))
	}
	b, err := contents(told)
	if err != nil {
		return usage{}, nil, err
	}
	var u usage
	if err := json.Unmarshal(b, &u); err != nil {
		return usage{}, nil, fmt.Errorf("%s: %w", measureName, err)
	}
	if u.Error != "" {
		return usage{}, nil, fmt.Errorf("%s: %s%s", c.brief(), u.Error, because(stderr))
	}
	if c.Stdout != nil {
		return u, nil, nil
	}
	out, err := contents(stdout)
	return u, out, err
}

// contents returns all of a file.
func contents(f *os.File) ([]byte, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(f)
}

// unnamed returns an open file of dir without a name, which leaves nothing
// behind.
func unnamed(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), "unnamed file"), nil
	}
	f, err := os.CreateTemp(dir, "")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}
