package ui

import (
	"cmp"
	"context"
	"fmt"
	"html/template"
	"slices"
	"time"

	"github.com/nathants/s4"
)

// Limits of what a page shows of a job, so that one of millions of tasks is no larger
// than others.
const (
	maxSlow     = 10
	maxFailed   = 20
	maxStderr   = 4 << 10 // of each task, in bytes: the end
	maxBars     = 100_000 // tasks that are looked at for the timeline
	manyServers = 16
	straggler   = 3 // medians; a task that takes longer is one
	minMedian   = 100 * time.Millisecond
)

// jobView is what a page shows of a job. Nobody changes it once it is made.
type jobView struct {
	Job     s4.JobStatus
	Err     error // of a server that did not tell
	Took    time.Duration
	Servers []serverSums
	Slow    []taskRow // the slowest first
	Failed  []taskRow
	More    int64 // failed tasks that are not in Failed
	Lanes   []serverLanes
	Cut     int64 // tasks that the timeline leaves out
	Rate    rateChart
	Shuffle *shuffle      // nil if nothing was pushed
	Pace    int64         // bytes of input read per second so far, while it runs; else 0
	Left    time.Duration // at that pace, in whole seconds

	MaxBytes int64 // of any server, in and out
	MaxNanos int64 // of Time, of any server

	// How many times the mean of all servers the one that has most has.
	SkewBytes, SkewTime float64
}

// serverSums adds up the tasks of a server.
type serverSums struct {
	Server                       string
	Tasks, Done, Failed, Running int64 // runs of tasks
	BytesIn, BytesOut, MaxOneIn  int64
	Time, Slowest                time.Duration
}

// Many reports whether there are so many servers that a list of them is long.
func (v *jobView) Many() bool { return len(v.Servers) > manyServers }

// Nanos is Time for what templates draw.
func (s serverSums) Nanos() int64 { return int64(s.Time) }

// taskRow is a task as tables list it.
type taskRow struct {
	Key, Server, State string
	Attempt            int
	Took               time.Duration
	BytesIn            int64
	Why, Stderr        string
	Straggler          bool
}

// bar is a task on the timeline.
type bar struct {
	server     int
	start, end time.Duration // since the job's start
	state      barState
	key        string
	bytes      int64
}

// look asks the servers for the tasks of a job, and makes a view of them. err is what a
// server that did not tell of the job said.
func (u *UI) look(ctx context.Context, job s4.JobStatus, err error) *jobView {
	b := newViewBuilder(job, u.client.Cluster().Servers, time.Now())
	if terr := u.client.JobTasks(ctx, job.ID, func(t s4.JobTask) error { b.add(t); return nil }); err == nil {
		err = terr
	}
	v := b.view()
	v.Err = err
	if job.Verb == "map-to-n" {
		// What a server does not tell is shown as that.
		matrix, _ := u.client.JobTraffic(ctx, job.ID)
		v.Shuffle = newShuffle(matrix, u.client.Cluster().Servers)
	}
	return v
}

// viewBuilder makes a jobView of a job's tasks, of which it keeps little.
type viewBuilder struct {
	v     jobView
	now   time.Time
	index map[s4.Server]int
	bars  []bar
}

func newViewBuilder(job s4.JobStatus, servers []s4.Server, now time.Time) *viewBuilder {
	b := &viewBuilder{now: now, index: make(map[s4.Server]int)}
	b.v.Job = job
	for i, s := range servers {
		b.index[s] = i
		b.v.Servers = append(b.v.Servers, serverSums{Server: s.String()})
	}
	if !job.Ended.IsZero() {
		b.now = job.Ended
	}
	b.v.Took = max(0, b.now.Sub(job.Started)) // the clock of a server may be another
	return b
}

// add counts one run of a task.
func (b *viewBuilder) add(t s4.JobTask) {
	took := t.Wall
	if t.State == s4.TaskRunning {
		took = max(0, b.now.Sub(t.Start))
	}
	at := b.index[t.Server]
	s := &b.v.Servers[at]
	s.Tasks++
	s.BytesIn += t.BytesIn
	s.BytesOut += t.BytesOut
	s.MaxOneIn = max(s.MaxOneIn, t.BytesIn)
	s.Time += took
	s.Slowest = max(s.Slowest, took)
	state := barDone
	switch t.State {
	case s4.TaskDone:
		s.Done++
	case s4.TaskRunning:
		s.Running++
		state = barRunning
	case s4.TaskFailed:
		s.Failed++
		state = barFailed
	case s4.TaskRetried:
		state = barRetried
	case s4.TaskStopped:
		state = barStopped
	}
	row := taskRow{Key: t.Key, Server: t.Server.String(), State: string(t.State), Attempt: t.Attempt, Took: took, BytesIn: t.BytesIn}
	if t.State == s4.TaskFailed {
		if len(b.v.Failed) == maxFailed {
			b.v.More++
		} else {
			failed := row
			failed.Stderr = tail(t.Stderr, maxStderr)
			if t.Err != nil {
				failed.Why = t.Err.Reason()
			}
			b.v.Failed = append(b.v.Failed, failed)
		}
	}
	b.slow(row)
	if len(b.bars) == maxBars {
		b.v.Cut++
		return
	}
	start := max(0, t.Start.Sub(b.v.Job.Started))
	b.bars = append(b.bars, bar{server: at, start: start, end: start + took, state: state, key: t.Key, bytes: t.BytesIn})
}

// slow keeps row if it is one of the slowest.
func (b *viewBuilder) slow(row taskRow) {
	i, _ := slices.BinarySearchFunc(b.v.Slow, row, func(a, b taskRow) int { return cmp.Compare(b.Took, a.Took) })
	if i == maxSlow {
		return
	}
	b.v.Slow = slices.Insert(b.v.Slow, i, row)
	b.v.Slow = b.v.Slow[:min(len(b.v.Slow), maxSlow)]
}

// view returns the view of all that was added.
func (b *viewBuilder) view() *jobView {
	v := &b.v
	var read, nanos, mostRead int64
	for _, s := range v.Servers {
		v.MaxBytes = max(v.MaxBytes, s.BytesIn, s.BytesOut)
		v.MaxNanos = max(v.MaxNanos, s.Nanos())
		read, nanos, mostRead = read+s.BytesIn, nanos+s.Nanos(), max(mostRead, s.BytesIn)
	}
	v.SkewBytes, v.SkewTime = skew(mostRead, read, len(v.Servers)), skew(v.MaxNanos, nanos, len(v.Servers))
	if p := &v.Job.JobProgress; v.Job.State == s4.JobRunning && v.Took > 0 && p.BytesIn > 0 {
		v.Pace = int64(float64(p.BytesIn) / v.Took.Seconds())
		v.Left = time.Second * time.Duration(v.Took.Seconds()*float64(max(0, p.InputBytes-p.BytesIn))/float64(p.BytesIn))
	}
	limit := stragglerFrom(b.bars)
	for i := range b.bars {
		if bar := &b.bars[i]; bar.state <= barRunning && bar.end-bar.start > limit {
			bar.state += barSlow // of done, or of running
		}
	}
	for i := range v.Slow {
		v.Slow[i].Straggler = v.Slow[i].Took > limit
	}
	v.Rate = newRateChart(b.bars, v.Took)
	v.Lanes = timeline(b.bars, v.Servers, v.Took)
	return v
}

// skew returns how many times the mean of n the most is.
func skew(most, sum int64, n int) float64 {
	if sum == 0 {
		return 0
	}
	return float64(most) * float64(n) / float64(sum)
}

// stragglerFrom returns how long a task may take before it is a straggler.
func stragglerFrom(bars []bar) time.Duration {
	var took []time.Duration
	for _, b := range bars {
		if b.state == barDone {
			took = append(took, b.end-b.start)
		}
	}
	if len(took) == 0 {
		return 1 << 62
	}
	slices.Sort(took)
	return straggler * max(minMedian, took[len(took)/2])
}

// tail returns the last n bytes of s, or a few less: it begins with a whole line, if
// there is one.
func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	s = s[len(s)-n:]
	for i := range len(s) {
		if s[i] == '\n' {
			s = s[i+1:]
			break
		}
	}
	return fmt.Sprintf("… (the last %d bytes)\n%s", n, s)
}

// rateChart is the input read over time. The bytes of a task count evenly for as long as
// it ran: servers tell when tasks began and ended, and not what they read when.
type rateChart struct {
	Line template.HTMLAttr // points of a polyline, in a box of chartWidth x chartHeight
	Max  int64             // bytes per second at the top
}

const (
	chartWidth  = 1000
	chartHeight = 100
	rateSteps   = 100
)

func newRateChart(bars []bar, took time.Duration) rateChart {
	if took <= 0 {
		return rateChart{}
	}
	var sums [rateSteps]float64
	step := float64(took) / rateSteps
	for _, b := range bars {
		if b.bytes == 0 {
			continue
		}
		from := min(float64(b.start)/step, rateSteps-1)
		to := min(max(float64(b.end)/step, from), rateSteps)
		if to-from < 1e-9 {
			sums[int(from)] += float64(b.bytes)
			continue
		}
		for i := int(from); i < rateSteps && float64(i) < to; i++ {
			part := min(to, float64(i+1)) - max(from, float64(i))
			sums[i] += float64(b.bytes) * part / (to - from)
		}
	}
	top := slices.Max(sums[:])
	if top == 0 {
		return rateChart{}
	}
	var line []byte
	for i, sum := range sums {
		line = fmt.Appendf(line, "%d,%.1f ", i*chartWidth/(rateSteps-1), chartHeight-(chartHeight-2)*sum/top)
	}
	// Numbers only.
	return rateChart{Line: template.HTMLAttr(`points="` + string(line[:len(line)-1]) + `"`), Max: int64(top / (step / float64(time.Second)))}
}
