package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strings"
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
	var before, after float64
	for _, pid := range s.Servers {
		if err := resetPeak(pid); err != nil {
			return Sample{}, nil, err
		}
		cpu, err := cpuSeconds(pid)
		if err != nil {
			return Sample{}, nil, err
		}
		before += cpu
	}
	u, out, err := e.run(ctx, s.Command)
	if err != nil {
		return Sample{}, nil, err
	}
	sample := Sample{Wall: u.Wall.Seconds(), ClientCPU: u.CPU.Seconds(), ClientPeak: u.Peak, Bytes: s.Bytes, Keys: s.Keys}
	for _, pid := range s.Servers {
		cpu, err := cpuSeconds(pid)
		if err != nil {
			return Sample{}, nil, err
		}
		peak, err := procBytes(procFile(pid, "status"), "VmHWM")
		if err != nil {
			return Sample{}, nil, err
		}
		after += cpu
		sample.ServerPeaks = append(sample.ServerPeaks, peak)
	}
	sample.ServerCPU = after - before
	return sample, out, nil
}

// run runs a command by way of the hidden subcommand measure. A command that
// fails is an error, which quotes its standard error.
func (e *Env) run(ctx context.Context, c Command) (u usage, out []byte, err error) {
	var files [3]*os.File // files, not pipes: a command may leave something running that has them
	for i := range files {
		if files[i], err = unnamed(e.Dir); err != nil {
			return usage{}, nil, err
		}
		defer files[i].Close()
	}
	stdout, stderr, told := files[0], files[1], files[2]

	cmd := exec.CommandContext(ctx, e.self, append([]string{measureName, "--"}, c.Args...)...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stderr = stderr
	if !c.Discard {
		cmd.Stdout = stdout
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
	if err == nil {
		out, err = contents(told)
	}
	if err == nil {
		err = json.Unmarshal(out, &u)
	}
	if err != nil {
		return usage{}, nil, fmt.Errorf("%s: %w%s", measureName, err, because(stderr))
	}
	if u.Error != "" {
		return usage{}, nil, fmt.Errorf("%s: %s%s", c.brief(), u.Error, because(stderr))
	}
	out, err = contents(stdout)
	return u, out, err
}

// contents returns all of a file.
func contents(f *os.File) ([]byte, error) {
	return io.ReadAll(io.NewSectionReader(f, 0, math.MaxInt64))
}

// unnamed returns an open file of dir without a name, which leaves nothing
// behind.
func unnamed(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "unnamed-")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// tailBytes is how much of a program's standard error an error quotes.
const tailBytes = 2048

// because returns a colon and the end of a file, in one line, or nothing if that is
// empty.
func because(f *os.File) string {
	b, _ := contents(f) // it is for an error
	text := strings.TrimSpace(string(b[max(0, len(b)-tailBytes):]))
	if text == "" {
		return ""
	}
	return ": " + strings.ReplaceAll(text, "\n", " | ")
}
