package cli

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/nathants/s4/cli/flags"
)

// topOrder is how "s4 top" sorts servers.
type topOrder int

const (
	byFile  topOrder = iota // as in the cluster file
	byTasks                 // those with the most first, also below
	byBytes
	byDisk
	topOrders
)

// String returns what the last line of the screen calls it.
func (o topOrder) String() string { return [...]string{"file", "tasks", "bytes", "disk"}[o] }

// topView makes lines of a topRound.
type topView struct {
	painter
	width, height int // of the terminal; 0 if there is none
	order         topOrder
	picked        string // ID of the job whose tasks are shown, or empty for all
}

// maxTopTasks is how many tasks that run are shown, if there is room.
const maxTopTasks = 10

// block is a part of the screen: a table, and how many rows it would like to have.
type block struct {
	rows [][]cell
	want int
}

// lines lays out a round: blocks that are separated by empty lines. On a terminal they
// fit on the screen, and leave its last line free.
func (v *topView) lines(r *topRound) []string {
	title := line{painter: v.painter, width: v.width}
	v.title(&title, r)
	out := []string{title.String()}
	if r.err != nil {
		l := line{painter: v.painter, width: v.width}
		l.add(colorBad, oneLine("the totals leave out a server: "+whySick(r.err)))
		out = append(out, l.String())
	}
	var blocks []block
	for _, rows := range [][][]cell{v.servers(r), v.jobs(r), v.tasks(r)} {
		if len(rows) > 1 {
			blocks = append(blocks, block{rows, len(rows) - 1})
		}
	}
	if v.height > 0 {
		fit(blocks, v.height-1-len(out)-2*len(blocks))
	}
	for _, b := range blocks {
		rows := b.rows
		if cut := len(rows) - 1 - b.want; cut > 0 {
			rows = rows[:1+b.want]
			if b.want > 1 {
				rows[b.want] = []cell{left(fmt.Sprintf("… %d more", cut+1)).in(colorLate)}
			}
		}
		out = append(append(out, ""), table(rows, v.width, v.painter)...)
	}
	return out
}

// fit shares out lines among blocks: those that want less than their share leave the rest
// to the others.
func fit(blocks []block, lines int) {
	order := make([]*block, len(blocks))
	for i := range blocks {
		order[i] = &blocks[i]
	}
	slices.SortStableFunc(order, func(a, b *block) int { return cmp.Compare(a.want, b.want) })
	for i, b := range order {
		b.want = min(b.want, max(1, lines/(len(order)-i)))
		lines -= b.want
	}
}

// title says how all servers are together.
func (v *topView) title(l *line, r *topRound) {
	sick, running, waiting, in, out := 0, 0, int64(0), 0.0, 0.0
	compared := false
	for i := range r.servers {
		s := &r.servers[i]
		if s.Err != nil {
			sick++
		}
		running, waiting = running+s.Load.Running, waiting+s.Load.Waiting
		in, out, compared = in+s.in, out+s.out, compared || s.compared
	}
	l.add("", "s4 top  "+r.at.Format(time.TimeOnly)+"  "+count(int64(len(r.servers)), "server"))
	if sick > 0 {
		l.add(colorBad, fmt.Sprintf(", %d unhealthy", sick))
	}
	l.add("", fmt.Sprintf("  %s  %s running, %d waiting", count(int64(len(r.jobs)), "job"), count(int64(running), "task"), waiting))
	if compared {
		l.add("", fmt.Sprintf("  in %s  out %s", perSecond(in), perSecond(out)))
	}
}

// perSecond prints bytes per second.
func perSecond(n float64) string { return flags.FormatSize(int64(n)) + "/s" }

// percent prints a part of 1.
func percent(part float64) string { return fmt.Sprintf("%.0f%%", 100*part) }

func (v *topView) servers(r *topRound) [][]cell {
	rows := [][]cell{{left("SERVER"), left("HEALTH"), right("TASKS"), right("WAIT"), right("PUSHES"), right("IN"), right("OUT"), right("DISK"), right("LOAD"), right("MEM FREE"), right("KEYS"), right("IN KEYS")}}
	list := slices.Clone(r.servers)
	slices.SortStableFunc(list, func(a, b topServer) int {
		// One that is not well must be seen, also if there are many.
		if a.Err != nil || b.Err != nil {
			return cmp.Compare(sickFirst(a.Err), sickFirst(b.Err))
		}
		switch v.order {
		case byTasks:
			return cmp.Or(cmp.Compare(b.Load.Running, a.Load.Running), cmp.Compare(b.Load.Waiting, a.Load.Waiting))
		case byBytes:
			return cmp.Compare(b.in+b.out, a.in+a.out)
		case byDisk:
			return cmp.Compare(b.diskUsed, a.diskUsed)
		}
		return cmp.Compare(a.index, b.index)
	})
	for i := range list {
		s := &list[i]
		if s.Err != nil {
			rows = append(rows, []cell{left(s.Server.String()), left("unhealthy: " + oneLine(whySick(s.Err))).in(colorBad)})
			continue
		}
		health := left("healthy").in(colorGood)
		if s.Open {
			health = left("open").in(colorLate)
		}
		h := &s.Load
		in, out, mem := "-", "-", "-"
		if s.compared {
			in, out = perSecond(s.in), perSecond(s.out)
		}
		if h.Memory > 0 {
			mem = percent(s.memUnused)
		}
		busy := right(fmt.Sprintf("%d/%d", h.Running, h.Slots))
		if h.Running > 0 {
			busy = busy.in(colorGood)
		}
		disk := right(percent(s.diskUsed))
		if s.diskUsed > 0.95 { // from here on suspended jobs are discarded
			disk = disk.in(colorBad)
		}
		rows = append(rows, []cell{left(s.Server.String()), health, busy, right(fmt.Sprint(h.Waiting)), right(fmt.Sprintf("%d/%d", h.Transfers, h.MaxTransfers)),
			right(in), right(out), disk, right(fmt.Sprintf("%.2f", h.Average)), right(mem), right(fmt.Sprint(s.Keys)), right(flags.FormatSize(s.Bytes))})
	}
	return rows
}

// sickFirst is the place of a server by its health.
func sickFirst(err error) int {
	if err != nil {
		return 0
	}
	return 1
}

// shownID returns an ID as long as there is room for.
func (v *topView) shownID(id string) string {
	if v.width > 0 {
		return id[:min(8, len(id))]
	}
	return id
}

func (v *topView) jobs(r *topRound) [][]cell {
	rows := [][]cell{{left("JOB"), right("DONE"), right("TASKS"), right("FAILED"), right("RUN"), right("RATE"), right("ETA"), right("TIME"), left("STATE"), left("VERB"), right("READ"), left("FROM, TO")}}
	for i := range r.jobs {
		j := &r.jobs[i]
		id := left(v.shownID(j.ID))
		if j.ID == v.picked {
			id = left("> " + id.text).in(colorLate)
		}
		eta := "-"
		if j.hasETA {
			eta = seconds(j.eta)
		}
		failed := right(fmt.Sprint(j.Failed))
		if j.Failed > 0 {
			failed = failed.in(colorBad)
		}
		done := "-"
		if j.Tasks > 0 {
			done = percent(float64(j.Done+j.Failed) / float64(j.Tasks))
		}
		rows = append(rows, []cell{id, right(done), right(fmt.Sprint(j.Tasks)), failed, right(fmt.Sprint(j.Running)), right(perSecond(j.rate)), right(eta),
			right(seconds1(jobTook(j.JobStatus, r.at))), left(string(j.State)).in(jobColor(j.State)), left(j.Verb), right(flags.FormatSize(j.BytesIn)), left(oneLine(j.Indir) + " -> " + oneLine(j.Outdir))})
	}
	return rows
}

func (v *topView) tasks(r *topRound) [][]cell {
	rows := [][]cell{{right("RUNS FOR"), left("JOB"), left("SERVER"), right("ATTEMPT"), left("KEY")}}
	for i := range r.tasks {
		t := &r.tasks[i]
		if v.picked != "" && t.job != v.picked {
			continue
		}
		if len(rows) > maxTopTasks {
			break
		}
		rows = append(rows, []cell{right(seconds1(t.took)), left(v.shownID(t.job)), left(t.Server.String()), right(fmt.Sprint(t.Attempt)), left(oneLine(t.Key))})
	}
	return rows
}

// pick moves the choice of a job by n, from none over all jobs and around.
func (v *topView) pick(r *topRound, n int) {
	at := slices.IndexFunc(r.jobs, func(j topJob) bool { return j.ID == v.picked }) + 1 // 0: none
	at = (at + n + len(r.jobs) + 1) % (len(r.jobs) + 1)
	v.picked = ""
	if at > 0 {
		v.picked = r.jobs[at-1].ID
	}
}

// topObject is a round as --json prints it.
type topObject struct {
	Time    time.Time       `json:"time"`
	Servers []any           `json:"servers"`
	Jobs    []topJobObject  `json:"jobs"`
	Tasks   []topTaskObject `json:"tasks"`
	Error   text            `json:"error,omitempty"`
}

type topServerObject struct {
	healthObject
	In  *float64 `json:"received_per_second"` // null in the first round
	Out *float64 `json:"sent_per_second"`
}

type topJobObject struct {
	jobObject
	Rate float64  `json:"bytes_in_per_second"`
	ETA  *float64 `json:"eta_seconds"` // null if it is not known
}

type topTaskObject struct {
	Job     string  `json:"job"`
	Key     string  `json:"key"`
	Server  string  `json:"server"`
	Attempt int     `json:"attempt"`
	Seconds float64 `json:"seconds"`
}

func newTopObject(r *topRound) topObject {
	o := topObject{Time: r.at, Servers: []any{}, Jobs: []topJobObject{}, Tasks: []topTaskObject{}}
	for i := range r.servers {
		s := &r.servers[i]
		h, ok := newHealthObject(s.ServerHealth).(healthObject)
		if !ok {
			o.Servers = append(o.Servers, newHealthObject(s.ServerHealth))
			continue
		}
		so := topServerObject{healthObject: h}
		if s.compared {
			so.In, so.Out = &s.in, &s.out
		}
		o.Servers = append(o.Servers, so)
	}
	for i := range r.jobs {
		j := &r.jobs[i]
		jo := topJobObject{jobObject: newJobObject(j.JobStatus), Rate: j.rate}
		if j.hasETA {
			jo.ETA = &j.eta
		}
		o.Jobs = append(o.Jobs, jo)
	}
	for _, t := range r.tasks {
		o.Tasks = append(o.Tasks, topTaskObject{t.job, t.Key, t.Server.String(), t.Attempt, t.took.Seconds()})
	}
	if r.err != nil {
		o.Error = text(whySick(r.err))
	}
	return o
}
