package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// Add makes scrapes ask a server for its numbers, too. A server is added once. Its
// methods may be called also after it was shut down.
func (m *Metrics) Add(server int, s Source) {
	m.slots.Set(float64(s.Status().Slots)) // which all servers of a process share
	m.Registry.MustRegister(newCollector(server, s))
}

// collector makes metrics of a server's status at every scrape.
type collector struct {
	server int
	source Source

	keys, bytes, free, size          *prometheus.Desc
	conns, refused                   *prometheus.Desc
	running, queued                  *prometheus.Desc
	jobs, staged                     *prometheus.Desc
	sent, received, shuffle, corrupt *prometheus.Desc
}

func newCollector(server int, s Source) *collector {
	of := prometheus.Labels{"server": strconv.Itoa(server)}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, of)
	}
	return &collector{
		server: server,
		source: s,

		keys:  desc("s4_keys", "Keys stored."),
		bytes: desc("s4_key_bytes", "Bytes in the keys stored."),
		free:  desc("s4_disk_free_bytes", "Free bytes of the file system with the data directory."),
		size:  desc("s4_disk_size_bytes", "Size of the file system with the data directory."),

		conns:   desc("s4_connections", "Open connections, from clients and other servers."),
		refused: desc("s4_connections_refused_total", "Connections closed for what they began with, such as another cluster file."),

		running: desc("s4_tasks_running", "Commands that run now, of tasks and evals."),
		queued:  desc("s4_tasks_queued", "Tasks of running jobs that have not begun."),

		jobs:   desc("s4_jobs", "Jobs that are not over: active or suspended.", "state"),
		staged: desc("s4_staged_bytes", "Output of jobs that is not published yet, by the job's state: active or suspended.", "state"),

		sent:     desc("s4_sent_bytes_total", "Bytes of objects sent: by sendfile, in the kernel, or by copy, through the process.", "method"),
		received: desc("s4_received_bytes_total", "Bytes of objects received, after unpacking."),
		shuffle:  desc("s4_shuffle_bytes_total", "Bytes of shuffles that arrived at other servers, by the index of the server.", "peer"),
		corrupt:  desc("s4_corrupt_keys_seen_total", "Reads of keys that met damaged bytes or a damaged checksum, also by s4 verify and --scrub."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.keys, c.bytes, c.free, c.size, c.conns, c.refused, c.running, c.queued,
		c.jobs, c.staged, c.sent, c.received, c.shuffle, c.corrupt} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := c.source.Status()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge(c.keys, float64(s.Keys))
	gauge(c.bytes, float64(s.Bytes))
	if s.Total > 0 { // else it is not known, and no 0 must raise an alarm
		gauge(c.free, float64(s.Free))
		gauge(c.size, float64(s.Total))
	}
	gauge(c.conns, float64(s.Conns))
	count(c.refused, s.Refused)
	gauge(c.running, float64(s.Running))
	gauge(c.queued, float64(s.Queued))
	gauge(c.jobs, float64(s.Jobs-s.SuspendedJobs), "active")
	gauge(c.jobs, float64(s.SuspendedJobs), "suspended")
	gauge(c.staged, float64(s.Staged-s.SuspendedStaged), "active")
	gauge(c.staged, float64(s.SuspendedStaged), "suspended")
	count(c.sent, s.Sendfile, "sendfile")
	count(c.sent, s.Copied, "copy")
	count(c.received, s.Received)
	for peer, n := range s.Pushed {
		if peer != c.server {
			count(c.shuffle, n, strconv.Itoa(peer))
		}
	}
	count(c.corrupt, s.Corrupt)
}
