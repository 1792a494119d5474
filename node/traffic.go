package node

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/nathants/s4/wire"
)

// traffic counts what a shuffle has sent where, by server. Many tasks add to it at once:
// it has no lock.
type traffic []struct{ files, bytes atomic.Uint64 }

// newTraffic returns the counters of a job, none if its verb pushes nothing.
func newTraffic(verb wire.Verb, servers int) traffic {
	if verb != wire.VerbMapToN {
		return nil
	}
	return make(traffic, servers)
}

// add counts a file that has arrived at a server.
func (t traffic) add(server int, bytes int64) {
	t[server].files.Add(1)
	t[server].bytes.Add(uint64(bytes))
}

// list returns what was counted.
func (t traffic) list() *wire.Traffic {
	m := new(wire.Traffic)
	for i := range t {
		if files := t[i].files.Load(); files > 0 {
			m.List = append(m.List, wire.Pushed{Server: uint32(i), Files: files, Bytes: t[i].bytes.Load()})
		}
	}
	return m
}

// restore takes over what list returned when the job was suspended.
func (t traffic) restore(m *wire.Traffic) {
	for _, p := range m.List {
		if uint64(p.Server) < uint64(len(t)) {
			t[p.Server].files.Store(p.Files)
			t[p.Server].bytes.Store(p.Bytes)
		}
	}
}

// writeRecord is writeInfo of a job that has stopped, with what it has pushed: a TRAFFIC
// frame after the JOBINFO, if it pushed anything.
func (j *job) writeRecord(info *wire.JobInfo) error {
	if m := j.traffic.list(); len(m.List) > 0 {
		return writeInfo(j.stage.path, info, m)
	}
	return writeInfo(j.stage.path, info)
}

// readTraffic returns what writeRecord has written beside the info of a job's directory:
// nothing if there is none, or it cannot be read. os.ErrNotExist if there is no info.
func readTraffic(dir string) (*wire.Traffic, error) {
	none := new(wire.Traffic)
	f, err := os.Open(filepath.Join(dir, infoFile))
	if err != nil {
		return none, err
	}
	defer f.Close()
	if _, err := readFrame(f); err != nil {
		return none, nil // whoever reads the info finds the damage
	}
	if m, err := readFrame(f); err == nil {
		if t, ok := m.(*wire.Traffic); ok {
			return t, nil
		}
	}
	return none, nil
}

// jobTraffic answers JOBTRAFFIC.
func (s *session) jobTraffic(tag uint16, m *wire.JobTraffic) error {
	n := s.node
	if j := n.job(m.Job); j != nil && j.found.Load() {
		return s.conn.Write(tag, 0, j.traffic.list())
	}
	t, err := readTraffic(n.store.sysPath(historyDir, jobName(m.Job)))
	if errors.Is(err, fs.ErrNotExist) && n.store.history.unsavedInfo(m.Job) != nil {
		err = nil
	}
	if err != nil {
		return s.reply(tag, noJob(m.Job, err))
	}
	return s.conn.Write(tag, 0, t)
}
