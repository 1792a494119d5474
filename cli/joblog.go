package cli

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nathants/s4"
)

// joblogHeader is the first line of a job log.
const joblogHeader = "key\tserver\tstart\twall\tuser\tsys\tmax_rss\tbytes_in\tbytes_out\texit\tsignal\tattempt\trunner\n"

// joblog is the file of --joblog. A nil joblog ignores all that it is given.
type joblog struct {
	f   *os.File
	err error // the first
}

// createJoblog opens the file, and creates it if need be. It returns nil if name is
// empty.
func createJoblog(name string) (*joblog, error) {
	switch name {
	case "":
		return nil, nil
	case "-":
		return nil, usagef("--joblog -: standard output is for data (--joblog /dev/stderr prints it, and ./- is a file of that name)")
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return nil, fmt.Errorf("job log: %w", err)
	}
	return &joblog{f: f}, nil
}

// start empties the file. It is called when the job is accepted, so that a job that is
// refused leaves the log of the job before.
func (l *joblog) start() {
	if l == nil {
		return
	}
	if fi, err := l.f.Stat(); err == nil && fi.Mode().IsRegular() {
		l.err = l.f.Truncate(0)
	}
	l.write(joblogHeader)
}

// add writes a line at once, so that the file can be watched. It is called by
// one goroutine at a time.
func (l *joblog) add(t s4.JobTask) {
	if l != nil {
		l.write(joblogLine(t))
	}
}

func (l *joblog) write(line string) {
	if l.err == nil {
		_, l.err = l.f.WriteString(line)
	}
}

func joblogLine(t s4.JobTask) string {
	if t.Err != nil && t.Exit == 0 && t.Signal == 0 {
		t.Exit = -1 // what failed was not the command
	}
	seconds := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }
	return strings.Join([]string{
		t.Key,
		t.Server.String(),
		fmt.Sprintf("%d.%03d", t.Start.Unix(), t.Start.Nanosecond()/1e6),
		seconds(t.Wall),
		seconds(t.User),
		seconds(t.Sys),
		strconv.FormatInt(t.MaxRSS, 10),
		strconv.FormatInt(t.BytesIn, 10),
		strconv.FormatInt(t.BytesOut, 10),
		strconv.Itoa(t.Exit),
		strconv.Itoa(t.Signal),
		strconv.Itoa(t.Attempt),
		cmp.Or(t.Runner, "-"),
	}, "\t") + "\n"
}

// closeJoblog closes the log of a job that ended with err, and returns the
// command's error.
func (a *app) closeJoblog(l *joblog, verb string, err error) error {
	if l == nil {
		return err
	}
	if cerr := l.f.Close(); l.err == nil {
		l.err = cerr
	}
	switch {
	case l.err == nil:
		return err
	case err == nil:
		return fmt.Errorf("job log: %w (the job is done)", l.err)
	}
	a.report(verb, fmt.Errorf("job log: %w", l.err))
	return err
}
