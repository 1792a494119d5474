package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/nathants/s4"
)

// rest waits until the cluster is at rest: no job runs, and nothing is left of any.
func (c *cluster) rest(l *load) {
	for _, s := range c.servers {
		s.mu.Lock()
		if !s.proc.serving.Load() { // it has ended by itself
			s.start()
		}
		s.mu.Unlock()
	}
	restarted, before := false, ""
	for end := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		left := c.leftovers(l)
		if len(left) == 0 {
			return
		}
		if now := strings.Join(left, ", "); now != before {
			before = now
			c.event("left: %s", now)
		}
		if time.Now().After(end) {
			for _, what := range left {
				c.violation("left when all is over: %s", what)
			}
			c.hung.Store(true)
			return
		}
		if !restarted && l.anyHalfWay() {
			restarted = true
			c.note("a job is published half way, which goes on when the server is started again")
			for _, s := range c.servers {
				s.mu.Lock()
				s.stop()
				s.start()
				s.mu.Unlock()
			}
		}
	}
}

// anyHalfWay says whether a client was told that a server must be started again.
func (l *load) anyHalfWay() bool {
	l.work.mu.Lock()
	defer l.work.mu.Unlock()
	return slices.ContainsFunc(l.work.contests, func(c *contest) bool {
		return slices.ContainsFunc(c.jobs, func(j *job) bool { return strings.Contains(j.why, "started again") })
	})
}

// leftovers lists what is left of jobs. It discards those that are suspended.
func (c *cluster) leftovers(l *load) (left []string) {
	jobs, err := l.api.Jobs(context.Background())
	if err != nil {
		left = append(left, err.Error())
	}
	for _, j := range jobs {
		switch {
		case j.State == "suspended":
			l.count("jobs at the end", "discarded")
			res := l.command("jobs", "discard", j.ID)
			left = append(left, "suspended job "+j.ID+" "+lastLine(res.stderr).Error)
		case !j.State.Over():
			left = append(left, fmt.Sprintf("job %s is %s", j.ID, j.State))
		}
	}
	for _, s := range c.servers {
		list, err := os.ReadDir(filepath.Join(s.data(), "_s4", "jobs"))
		if err != nil {
			left = append(left, err.Error())
		}
		for _, d := range list {
			left = append(left, fmt.Sprintf("directory of job %s on server %d", d.Name(), s.index))
		}
		if list, _ := os.ReadDir(filepath.Join(s.data(), "_s4", "tmp")); len(list) > 0 {
			left = append(left, fmt.Sprintf("%d temporary files on server %d", len(list), s.index))
		}
	}
	for _, pid := range c.taskProcesses() {
		left = append(left, "process "+pid+" of a task")
	}
	return left
}

// taskProcesses returns the processes that are tasks of this cluster, by their environment.
func (c *cluster) taskProcesses() (pids []string) {
	mark := []byte("\x00S4_CONF_PATH=" + c.conf() + "\x00")
	list, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is good
	for _, file := range list {
		if b, err := os.ReadFile(file); err == nil && bytes.Contains(append([]byte{0}, b...), mark) {
			pids = append(pids, filepath.Base(filepath.Dir(file)))
		}
	}
	return pids
}

// check looks at all that is there when the cluster is at rest.
func (c *cluster) check(l *load) {
	c.checkJobs(l)
	found := make(map[string]output) // by OUTDIR
	for e, err := range l.api.List(context.Background(), everything, true) {
		key := s4.Scheme + e.Name
		switch {
		case err != nil:
			c.violation("list: %v", err)
		case strings.HasPrefix(key, outputDir):
			dir, _, _ := strings.Cut(strings.TrimPrefix(key, outputDir), "/")
			found[outputDir+dir+"/"] = nil
		case strings.HasPrefix(key, keysDir):
			if l.history.keys[key] == nil {
				c.violation("%s is there, and nobody has put it", key)
			}
		case l.work.input[strings.TrimPrefix(key, inputDir)] == nil:
			c.violation("%s is there, and nobody has put it", key)
		}
	}
	for _, contest := range l.work.contests {
		got := output{}
		if _, there := found[contest.outdir]; there {
			got = l.outputOf(contest.outdir)
			delete(found, contest.outdir)
		}
		switch {
		case !contest.removed:
			l.judge(contest, got)
		case len(got) > 0:
			c.violation("%s was removed, and has %d keys again", contest.outdir, len(got))
		}
	}
	for outdir := range found {
		c.violation("%s is there, and is of no job", outdir)
	}
	want := make(output)
	for name, b := range l.work.input {
		want[name] = hash(b)
	}
	if got := l.outputOf(inputDir); !maps.Equal(got, want) {
		c.violation("the input has changed: %s", difference(got, want))
	}
	c.checkHistory(l)
}

// checkJobs compares what the servers remember with what clients were told.
func (c *cluster) checkJobs(l *load) {
	told := make(map[string]*job)
	for _, contest := range l.work.contests {
		for _, j := range contest.jobs {
			told[j.id] = j
		}
	}
	list, err := l.api.Jobs(context.Background())
	if err != nil {
		c.violation("jobs: %v", err)
	}
	for _, s := range list {
		done := s.State == s4.JobDone || s.State == s4.JobPartly
		if s.Err != nil && strings.Contains(s.Err.Text, "published on some servers and not on others") {
			c.violation("job %s: %v", s.ID, s.Err)
		}
		j := told[s.ID]
		switch {
		case j == nil || j.outcome == jobUnknown:
		case done && j.outcome == jobFailed, !done && j.outcome == jobDone:
			c.violation("job %s %s is %s, its client was told that it is %s: %s", s.ID, j.name, s.State, j.outcome, j.why)
		}
	}
}

// checkHistory reads every key once more, and then looks for an order of all that was
// done.
func (c *cluster) checkHistory(l *load) {
	h := l.history
	keys := slices.Sorted(maps.Keys(h.keys))
	for _, key := range keys {
		var b bytes.Buffer
		o := op{Client: -1, Kind: opGet, Key: key, Call: c.now()}
		_, err := l.api.Get(context.Background(), key, &b)
		if l.classify(&o, err); err == nil {
			o.Value = l.valueOf(key, b.Bytes())
		}
		if o.Outcome == outUnknown || err != nil && !errors.Is(err, s4.ErrNotFound) {
			c.violation("get %s when all is over: %v", key, err)
		}
		o.Client, o.Return = keyWorkers, c.now()
		h.add(o)
	}
	work := make(chan string)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for key := range work {
				switch h.check(key, c.pictureOf(key)) {
				case porcupine.Illegal:
					c.violation("no order of what was done explains %s: see %s", key, c.pictureOf(key))
				case porcupine.Unknown:
					c.count("history", "keys not checked to the end")
				default:
					c.count("history", "keys in order")
				}
			}
		})
	}
	for _, key := range keys {
		work <- key
	}
	close(work)
	wg.Wait()
}

// shutDown stops the servers and looks at their logs.
func (c *cluster) shutDown() {
	for _, s := range c.servers {
		s.mu.Lock()
		s.stop()
		s.mu.Unlock()
		text, err := os.ReadFile(s.log.Name())
		if err != nil {
			c.violation("%v", err)
		}
		for _, bad := range []string{"DATA RACE", "panic:", "fatal error:"} {
			if bytes.Contains(text, []byte(bad)) {
				c.violation("%s: %s", s.log.Name(), bad)
			}
		}
	}
	for _, pid := range c.taskProcesses() {
		c.violation("process %s of a task has outlived the servers", pid)
	}
}

// save keeps what one needs to see what was wrong.
func (c *cluster) save(l *load) {
	if len(c.violations) == 0 {
		return
	}
	if err := l.history.write(filepath.Join(c.dir, "history.jsonl")); err != nil {
		c.note("the history is not saved: %v", err)
	}
	if s := c.servers[len(c.servers)-1]; c.disk != nil {
		if err := os.CopyFS(filepath.Join(c.dir, "disk"), os.DirFS(s.data())); err != nil {
			c.note("the small disk is not saved: %v", err)
		}
	}
}
