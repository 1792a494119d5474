package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nathants/s4"
)

// contest is one OUTDIR, and who would write it: a job, or two that compete, or a job and
// a put.
type contest struct {
	outdir  string
	jobs    []*job
	put     outcome // of the key that is put, or ""
	removed bool    // its output was there, was right, and was removed
}

// putIn is the key that is put, below OUTDIR, and what it holds.
const putIn, putText = "a/000", "put\n"

// job is one job, and what its client was told.
type job struct {
	*task
	id      string // or "", if its client never learned it
	outcome jobOutcome
	why     string
	want    output // if it is done
}

// jobOutcome is what a client knows of its job.
type jobOutcome string

const (
	jobDone    jobOutcome = "done"    // all of its output is there
	jobFailed  jobOutcome = "failed"  // none of it is, nor ever will be
	jobUnknown jobOutcome = "unknown" // all is there, or none, when the cluster is at rest
)

// job runs a job, or two that compete, and looks at the output.
func (l *load) job(rng *rand.Rand) {
	w := l.work
	w.mu.Lock()
	c := &contest{outdir: fmt.Sprintf("%s%05d/", outputDir, len(w.contests))}
	w.contests = append(w.contests, c)
	w.mu.Unlock()
	how := l.plainJob
	switch n := rng.IntN(10); {
	case n < 3:
		how = l.detachedJob
	case n < 5:
		how = l.keptJob
	}
	tasks := []*task{w.tasks[rng.IntN(len(w.tasks))]}
	if rng.IntN(6) == 0 {
		tasks = w.tasks[:2]
	}
	for _, t := range tasks {
		c.jobs = append(c.jobs, &job{task: t, want: t.want})
	}
	keep, pause := rng.IntN(8) == 0, time.Duration(rng.Int64N(int64(3*time.Second)))
	var wg sync.WaitGroup
	if tasks[0].verb == "map" && rng.IntN(6) == 0 {
		wg.Go(func() {
			time.Sleep(pause)
			c.put = l.putInto(c.outdir)
		})
	}
	for _, j := range c.jobs {
		wg.Go(func() { how(j, c.outdir) })
	}
	wg.Wait()
	done, unknown := 0, 0
	if c.put == outUnknown {
		unknown++
	}
	for _, j := range c.jobs {
		l.count("jobs: "+j.name, string(j.outcome))
		l.event("job %s %s into %s: %s %s", j.id, j.name, c.outdir, j.outcome, j.why)
		switch j.outcome {
		case jobDone:
			done++
		case jobUnknown:
			unknown++
		}
	}
	if done != 1 {
		time.Sleep(200 * time.Millisecond) // as a person would, before the next
		return                             // the last check looks at this one
	}
	l.judge(c, l.outputOf(c.outdir))
	if unknown == 0 && !keep {
		_ = l.patiently("remove "+c.outdir, func(ctx context.Context) error {
			_, err := l.api.Remove(ctx, c.outdir, true)
			if errors.Is(err, s4.ErrNotFound) {
				err = nil // an answer was lost
			}
			return err
		})
		c.removed = true
	}
}

// putInto puts the key that is in the way of jobs.
func (l *load) putInto(outdir string) outcome {
	o := op{Kind: opPut, Key: outdir + putIn}
	l.classify(&o, l.api.Put(context.Background(), o.Key, strings.NewReader(putText), int64(len(putText))))
	l.count("puts into OUTDIR", string(o.Outcome))
	l.event("put %s: %s %s", o.Key, o.Outcome, o.Why)
	return o.Outcome
}

// serverWait is how long a job waits for a server: longer than most faults, and short
// enough for jobs to be over soon when there are no more.
const serverWait = "20s"

// submit runs the command of a job, with more flags.
func (l *load) submit(j *job, outdir string, more ...string) result {
	source := []string{inputDir}
	if j.manifest {
		file, err := l.writeManifest()
		if err != nil {
			l.violation("manifest: %v", err)
			return result{exit: -1}
		}
		defer os.Remove(file)
		source = []string{"--manifest", file}
	}
	return l.command(slices.Concat([]string{j.verb, "--server-wait", serverWait}, j.flags, more, source, []string{outdir, j.before + j.command})...)
}

// writeManifest writes a task for each key of the input to a file.
func (l *load) writeManifest() (string, error) {
	f, err := os.CreateTemp("", "s4-chaos-manifest-")
	if err != nil {
		return "", err
	}
	for name := range l.work.input {
		fmt.Fprintf(f, "%s\t%s\n", name, name)
	}
	return f.Name(), f.Close()
}

// plainJob runs a job with a client that stays.
func (l *load) plainJob(j *job, outdir string) { j.ended(l.submit(j, outdir)) }

// ended sets the outcome of a job whose client has ended.
func (j *job) ended(res result) {
	first, last, why := lastLine(bytes.SplitN(res.stdout, []byte("\n"), 2)[0]), lastLine(res.stdout), lastLine(res.stderr)
	if first.Job != "" {
		j.id = first.Job
	}
	j.outcome, j.why = jobFailed, why.Error
	switch {
	case res.exit == 0:
		j.outcome = jobDone
	case res.exit != 1 || isHalfWay(why.Error):
		j.outcome, j.why = jobUnknown, fmt.Sprintf("exit code %d %s", res.exit, why.Error)
	case last.Keys != nil && j.keepsGoing():
		j.outcome = jobDone // but for what has failed
		j.want = j.without(res.stderr)
	}
}

// without returns what a job must leave whose client was told that some tasks failed:
// those that always do, and those that met a full disk.
func (j *job) without(stderr []byte) output {
	want := maps.Clone(j.task.want)
	for line := range bytes.SplitSeq(stderr, []byte("\n")) {
		failed := strings.TrimPrefix(lastLine(line).Key, inputDir)
		maps.DeleteFunc(want, func(name string, _ uint64) bool { return j.taskOf(name) == failed })
	}
	return want
}

// isHalfWay says whether an error is of a job that is being published: it says so.
func isHalfWay(text string) bool {
	return strings.Contains(text, "which it completes when it is back") || strings.Contains(text, "goes on when the server is started again")
}

// taskOf returns the input that has made a key.
func (j *job) taskOf(name string) string {
	if j.verb == "map-to-n" {
		return path.Dir(name)
	}
	return name
}

// detachedJob leaves a job to the servers.
func (l *load) detachedJob(j *job, outdir string) {
	res := l.submit(j, outdir, "--detach")
	if res.exit != 0 {
		j.ended(res)
		if code := lastLine(res.stderr).Code; code == "unavailable" || code == "timeout" {
			j.outcome = jobUnknown // it may have been handed over
		}
		return
	}
	j.id = lastLine(res.stdout).Job
	id, err := number(j.id)
	if err != nil {
		l.violation("--detach prints %q", res.stdout)
		return
	}
	end := during(&l.clients.mu, &l.clients.jobs, id)
	defer end()
	res = l.command("jobs", "wait", j.id)
	j.ended(res)
	if s := lastLine(res.stderr); res.exit == 1 && s.Verb == "jobs" {
		j.outcome = jobUnknown // the question failed, not the job
	}
}

// keptJob runs a job that is kept when it fails, and resumed or discarded then.
func (l *load) keptJob(j *job, outdir string) {
	j.ended(l.submit(j, outdir, "--on-failure", "keep"))
	for range 3 {
		if j.outcome != jobFailed || j.id == "" {
			return
		}
		l.count("jobs resumed", j.name)
		j.ended(l.command("jobs", "resume", "--server-wait", serverWait, "--retries", "3", j.id))
	}
	if j.outcome == jobFailed {
		j.ended(l.command("jobs", "discard", j.id))
		if j.outcome == jobDone {
			j.outcome, j.why = jobFailed, "discarded"
		}
	}
}

// patiently does what must be done at last, in spite of faults.
func (l *load) patiently(what string, f func(ctx context.Context) error) error {
	for {
		err := f(context.Background())
		switch {
		case err == nil || errors.Is(err, s4.ErrNotFound):
			return err
		case !errors.Is(err, s4.ErrUnavailable) && !errors.Is(err, s4.ErrTimeout) || l.hung.Load():
			l.violation("%s: %v", what, err)
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// outputOf reads what is below an OUTDIR.
func (l *load) outputOf(outdir string) output {
	prefix := strings.TrimPrefix(outdir, s4.Scheme)
	var got output
	_ = l.patiently("list "+outdir, func(ctx context.Context) error {
		got = make(output)
		for e, err := range l.api.List(ctx, outdir, true) {
			if err != nil {
				return err
			}
			got[strings.TrimPrefix(e.Name, prefix)] = 0
		}
		return nil
	})
	for name := range got {
		var b bytes.Buffer
		if err := l.patiently("get "+outdir+name, func(ctx context.Context) error {
			b.Reset()
			_, err := l.api.Get(ctx, outdir+name, &b)
			return err
		}); err != nil {
			l.violation("%s%s is listed: %v", outdir, name, err)
		}
		got[name] = hash(b.Bytes())
	}
	return got
}

// judge compares what is in an OUTDIR with what its jobs were told.
func (l *load) judge(c *contest, got output) {
	var jobs []string
	for _, j := range c.jobs {
		jobs = append(jobs, fmt.Sprintf("%s %s: %s %s", j.id, j.name, j.outcome, j.why))
	}
	bad := func(format string, args ...any) {
		l.violation("%s of %s: %s", c.outdir, strings.Join(jobs, " and "), fmt.Sprintf(format, args...))
	}
	var done []*job
	for _, j := range c.jobs {
		if j.outcome == jobDone {
			done = append(done, j)
		}
	}
	justPut := maps.Equal(got, output{putIn: hash([]byte(putText))})
	switch {
	case c.put == outOK && (!justPut || len(done) > 0):
		bad("%s was put, and it has %d keys", putIn, len(got))
	case justPut && (c.put == outOK || c.put == outUnknown && len(done) == 0):
	case len(done) > 1:
		bad("both are done")
	case len(done) == 1:
		if !maps.Equal(got, done[0].want) {
			bad("it is done, and its output is not what it must be: %s", difference(got, done[0].want))
		}
	case len(got) > 0:
		for _, j := range c.jobs {
			if j.outcome == jobUnknown && j.mayHaveLeft(got) {
				return
			}
		}
		bad("none is done, and it has %d keys, which are not what any can have left: %s", len(got), difference(got, c.jobs[0].want))
	}
}

// mayHaveLeft says whether an output is all of a job. One that keeps going may have had
// failures that nobody has heard of: then all of a task is there, or nothing.
func (j *job) mayHaveLeft(got output) bool {
	want := maps.Clone(j.want)
	if j.keepsGoing() {
		tasks := make(map[string]bool)
		for name := range got {
			tasks[j.taskOf(name)] = true
		}
		maps.DeleteFunc(want, func(name string, _ uint64) bool { return !tasks[j.taskOf(name)] })
	}
	return maps.Equal(got, want)
}

// difference tells what is wrong with an output.
func difference(got, want output) string {
	var missing, wrong, more []string
	for name := range want {
		if _, ok := got[name]; !ok {
			missing = append(missing, name)
		}
	}
	for name, sum := range got {
		if was, ok := want[name]; !ok {
			more = append(more, name)
		} else if was != sum {
			wrong = append(wrong, name)
		}
	}
	slices.Sort(missing)
	slices.Sort(wrong)
	slices.Sort(more)
	return fmt.Sprintf("%d of %d keys are missing %.200q, %d wrong %.200q, %d too many %.200q", len(missing), len(want), missing, len(wrong), wrong, len(more), more)
}
