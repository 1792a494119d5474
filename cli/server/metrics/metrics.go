// Package metrics shows what servers do in Prometheus' terms: it is the only package
// that knows both. Nodes tell it of requests, tasks and jobs as they end (node.Observer),
// and it asks them for the rest when it is scraped (Source).
//
//	node ── Observer ──▶ counters, histograms ──┐
//	node ◀── Status ──── collector ─────────────┴─▶ Registry ──▶ /metrics
//
// The values that a label can have are few and known: no label has a key, a job or an
// address in it.
package metrics

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/nathants/s4/node"
	"github.com/nathants/s4/wire"
)

// Source is a server to ask for its numbers: a *node.Node.
type Source interface{ Status() node.Status }

// Metrics are those of the servers of one process.
type Metrics struct {
	Registry *prometheus.Registry // of its own, with Go's and the process's metrics, too

	requests       *prometheus.CounterVec
	requestSeconds *prometheus.HistogramVec
	tasks          *prometheus.CounterVec
	taskSeconds    *prometheus.HistogramVec
	taskCPU        *prometheus.CounterVec
	jobs           *prometheus.CounterVec
	slots          prometheus.Gauge
}

// What labels can be. A counter of an outcome that is no error is there from the start:
// of one that appears with its first event, rate() does not see that event.
var (
	verbs    = [...]string{"put", "push", "asset", "get", "copy", "eval", "shell", "list", "remove", "stat", "verify", "count", "health"}
	kinds    = [...]string{"map", "map-to-n", "map-from-n", "eval"}
	outcomes = [...]wire.TaskState{wire.TaskDone, wire.TaskFailed, wire.TaskRetried, wire.TaskStopped}
	jobVerbs = [...]wire.Verb{wire.VerbMap, wire.VerbMapToN, wire.VerbMapFromN}
	jobEnds  = [...]wire.JobState{wire.JobCommitted, wire.JobFailed, wire.JobCanceled, wire.JobSuspended}
)

// Upper limits of the histograms' buckets, in seconds: a small key takes a tenth of a
// millisecond, a task may take an hour.
var (
	requestBuckets = []float64{.0001, .0003, .001, .003, .01, .03, .1, .3, 1, 3, 10, 30, 100}
	taskBuckets    = []float64{.003, .01, .03, .1, .3, 1, 3, 10, 30, 100, 300, 1000, 3600}
)

// New returns metrics without servers. version is the program's.
func New(version string) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	}
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		requests: counter("s4_requests_total", "Requests answered, by verb and outcome: ok, or the error's code.",
			"server", "verb", "outcome"),
		requestSeconds: histogram("s4_request_duration_seconds", "How long requests took, with the transfer of their bytes.",
			requestBuckets, "server", "verb"),
		tasks: counter("s4_tasks_total", "Runs of tasks that have ended, by kind and outcome: done, failed, retried or stopped.",
			"server", "kind", "outcome"),
		taskSeconds: histogram("s4_task_duration_seconds", "How long the commands of tasks ran; of a batch, each task's share.",
			taskBuckets, "server", "kind"),
		taskCPU: counter("s4_task_cpu_seconds_total", "CPU time of the commands of tasks.", "server", "kind"),
		jobs: counter("s4_jobs_ended_total", "Jobs that are over here, or were suspended, by verb and state.",
			"server", "verb", "state"),
	}
	m.slots = prometheus.NewGauge(prometheus.GaugeOpts{Name: "s4_task_slots", Help: "Commands that may run at once, on all servers of the process together."})
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "s4_build_info", Help: "1, with the version of s4-server.",
		ConstLabels: prometheus.Labels{"version": version}})
	build.Set(1)
	m.Registry.MustRegister(build, m.slots, m.requests, m.requestSeconds, m.tasks, m.taskSeconds, m.taskCPU, m.jobs,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Observer returns what counts the work of one server. It is a node.Config's Observe.
func (m *Metrics) Observer(server int) node.Observer {
	label := strconv.Itoa(server)
	of := prometheus.Labels{"server": label}
	o := &observer{
		requests:       m.requests.MustCurryWith(of),
		requestSeconds: m.requestSeconds.MustCurryWith(of),
		tasks:          m.tasks.MustCurryWith(of),
		taskSeconds:    m.taskSeconds.MustCurryWith(of),
		taskCPU:        m.taskCPU.MustCurryWith(of),
		jobs:           m.jobs.MustCurryWith(of),
		fine:           make(map[string]fine),
	}
	for _, verb := range verbs {
		o.fine[verb] = fine{o.requests.WithLabelValues(verb, "ok"), o.requestSeconds.WithLabelValues(verb)}
	}
	for _, kind := range kinds {
		for _, outcome := range outcomes {
			o.tasks.WithLabelValues(kind, outcome.String())
		}
		o.taskSeconds.WithLabelValues(kind)
		o.taskCPU.WithLabelValues(kind)
	}
	for _, verb := range jobVerbs {
		for _, state := range jobEnds {
			o.jobs.WithLabelValues(verb.String(), state.String())
		}
	}
	return o
}

// observer counts the work of one server.
type observer struct {
	requests       *prometheus.CounterVec
	requestSeconds prometheus.ObserverVec
	tasks          *prometheus.CounterVec
	taskSeconds    prometheus.ObserverVec
	taskCPU        *prometheus.CounterVec
	jobs           *prometheus.CounterVec
	fine           map[string]fine // by verb; not changed any more
}

// fine are the metrics of a verb's requests that are answered with OK, looked up once:
// there may be tens of thousands in a second.
type fine struct {
	count   prometheus.Counter
	seconds prometheus.Observer
}

func (o *observer) Request(verb string, outcome wire.Code, took time.Duration) {
	f, ok := o.fine[verb]
	if !ok {
		return // a new verb of package node: TestVerbs finds it
	}
	f.seconds.Observe(took.Seconds())
	if outcome == 0 {
		f.count.Inc()
		return
	}
	name := outcome.String()
	if strings.HasPrefix(name, "code-") {
		name = "other" // a peer of another version may have said anything
	}
	o.requests.WithLabelValues(verb, name).Inc()
}

func (o *observer) Task(t node.TaskEnd) {
	o.tasks.WithLabelValues(t.Kind, t.State.String()).Inc()
	if t.Wall > 0 { // else the command was not run
		o.taskSeconds.WithLabelValues(t.Kind).Observe(t.Wall.Seconds())
		o.taskCPU.WithLabelValues(t.Kind).Add(t.CPU.Seconds())
	}
}

func (o *observer) Job(verb wire.Verb, state wire.JobState) {
	o.jobs.WithLabelValues(verb.String(), state.String()).Inc()
}
