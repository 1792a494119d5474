package node

import (
	"context"
	"time"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
)

// control handles one request of a control connection. An error means that
// the connection is over.
func (s *session) control(h wire.Header) error {
	m, err := s.conn.ReadMessage(h)
	if h.Type != wire.TypeRemove || h.Flags&wire.FlagRecursive != 0 {
		if err := s.conn.SendHeld(); err != nil { // this one may take long
			return err
		}
	}
	if js := s.job.Load(); js != nil {
		if taken, jerr := s.jobRequest(js, h, m, err); taken {
			return jerr
		}
	}
	if err != nil {
		if s.conn.Broken() {
			return err
		}
		return s.reply(h.Tag, err)
	}
	switch m := m.(type) {
	case *wire.List:
		return s.list(h, m)
	case *wire.Remove:
		return s.remove(h, m)
	case *wire.Stat:
		return s.stat(h, m)
	case *wire.Count:
		return s.count(h.Tag, m)
	case *wire.Verify:
		return s.verifyKeys(h.Tag, m)
	case *wire.Job:
		return s.startJob(h.Tag, m)
	case *wire.Attach:
		return s.attachJob(h.Tag, m)
	case *wire.Inputs, *wire.Secrets:
		return nil // of a job that was refused or is over: that was the answer
	case *wire.AskSecrets:
		if m := s.node.secretsOf(m.Job); m != nil {
			return s.conn.Write(h.Tag, 0, m)
		}
		return s.reply(h.Tag, wire.Errorf(wire.CodeNoJob, "no secrets of a job %016x here", m.Job))
	case *wire.Reset:
		return s.reply(h.Tag, s.reset(m))
	case *wire.Discard, *wire.Suspend:
		return s.reply(h.Tag, nil) // of a job that is over: nothing to do
	case *wire.Jobs:
		return s.listJobs(h.Tag, m)
	case *wire.JobTasks:
		return s.jobTasks(h.Tag, m)
	case *wire.Cancel:
		return s.reply(h.Tag, s.node.cancelJob(m))
	case *wire.Flush:
		return s.reply(h.Tag, nil) // of a request that was answered
	case *wire.Settle:
		v, err := s.node.verdict(m.Job)
		if err != nil {
			return s.reply(h.Tag, err)
		}
		return s.conn.Write(h.Tag, 0, &wire.Settled{Verdict: v})
	case wire.Empty:
		if m.T == wire.TypeHealth {
			return s.health(h.Tag)
		}
	}
	return s.reply(h.Tag, wire.Errorf(wire.CodeBadRequest, "a %s frame is no request of the control channel", h.Type))
}

// watched returns a context that ends when the node stops and, until stop is called,
// when the peer closes the connection.
func (s *session) watched() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(s.node.ctx)
	still := s.conn.WaitGone(func() {
		cancel(wire.Errorf(wire.CodeCanceled, "the client is gone"))
	})
	return ctx, func() {
		still()
		cancel(nil)
	}
}

func (s *session) list(h wire.Header, m *wire.List) error {
	start := time.Now()
	if m.Prefix != "" {
		if err := names.CheckPrefix(m.Prefix); err != nil {
			return s.reply(h.Tag, err)
		}
	}
	var (
		batch wire.Entries
		size  int
		count uint64
		werr  error
	)
	var flushTag uint16
	flushed := false // by FLUSH
	flush := func() error {
		if flushTag, flushed = s.conn.Flushed(h.Tag); flushed {
			return wire.Errorf(wire.CodeCanceled, "flushed")
		}
		werr = s.conn.Write(h.Tag, 0, &batch)
		count += uint64(len(batch.List))
		batch.List, size = batch.List[:0], 0
		return werr
	}
	w := &walker{recursive: h.Flags&wire.FlagRecursive != 0, sums: h.Flags&wire.FlagChecksums != 0}
	w.each = func(e *wire.Entry) error {
		if size += e.EntrySize(w.sums); size > wire.MaxEntries {
			if err := flush(); err != nil {
				return err
			}
			size = e.EntrySize(w.sums)
		}
		batch.List = append(batch.List, *e)
		return nil
	}
	err := s.node.store.listWith(s.node.ctx, m.Prefix, w)
	if err == nil && len(batch.List) > 0 {
		err = flush()
	}
	if werr != nil {
		return werr
	}
	s.logRequest("list", m.Prefix, 0, start, err)
	if err != nil {
		if err := s.reply(h.Tag, err); err != nil || !flushed {
			return err
		}
		return s.reply(flushTag, nil)
	}
	return s.conn.Write(h.Tag, 0, &wire.End{Count: count})
}

// count answers COUNT.
func (s *session) count(tag uint16, m *wire.Count) error {
	start := time.Now()
	counts := &wire.Counts{Keys: make([]uint64, len(m.Dirs))}
	var err error
	for i, dir := range m.Dirs {
		if err = names.CheckPrefix(dir + "/"); err == nil {
			counts.Keys[i], err = s.node.store.keysIn(dir)
		}
		if err != nil {
			break
		}
	}
	s.observe("count", start, err)
	if err != nil {
		return s.reply(tag, err)
	}
	return s.conn.Write(tag, 0, counts)
}

func (s *session) remove(h wire.Header, m *wire.Remove) error {
	start := time.Now()
	var (
		n   int64
		err error
	)
	if h.Flags&wire.FlagRecursive != 0 {
		if err = names.CheckPrefix(m.Prefix); err == nil {
			ctx, stop := s.watched()
			n, err = s.node.store.removePrefix(ctx, m.Prefix)
			stop()
		}
	} else if err = s.node.checkOwner(m.Prefix); err == nil {
		n, err = 1, s.node.store.remove(m.Prefix)
	}
	s.logRequest("remove", m.Prefix, 0, start, err)
	if err != nil {
		return s.reply(h.Tag, err)
	}
	return s.conn.WriteSoon(h.Tag, 0, &wire.Removed{Count: uint64(n)})
}

func (s *session) stat(h wire.Header, m *wire.Stat) error {
	start := time.Now()
	err := s.node.checkOwner(m.Key)
	var o *object
	if err == nil {
		o, err = s.node.store.get(m.Key)
	}
	s.observe("stat", start, err)
	if err != nil {
		return s.reply(h.Tag, err)
	}
	o.Close()
	head := o.head()
	if h.Flags&wire.FlagPath != 0 {
		head.Path = s.node.store.file(m.Key)
	}
	return s.conn.Write(h.Tag, 0, head)
}

func (s *session) health(tag uint16) error {
	start, n := time.Now(), s.node
	free, total, err := n.healthy()
	s.observe("health", start, err)
	if err != nil {
		return s.reply(tag, err)
	}
	jobs, bytes := n.suspendedSum()
	return s.conn.Write(tag, 0, &wire.HealthInfo{
		Release: n.cfg.Version,
		Index:   uint32(n.cfg.Index),
		Servers: uint32(len(n.cfg.Cluster.Servers)),
		Uptime:  uint64(time.Since(n.started)),
		Keys:    uint64(n.store.count.Load()),
		Bytes:   uint64(n.store.bytes.Load()),
		Free:    free,
		Total:   total,

		Suspended:     bytes,
		SuspendedJobs: jobs,
		Open:          n.open.Load(),
	})
}
