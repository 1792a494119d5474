package node

import (
	"context"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// How a VERIFY is answered.
const (
	verifyReaders = 4           // a disk serves several reads at once
	verifyTell    = time.Second // time between two VERIFIED
)

// verifyKeys answers VERIFY.
func (s *session) verifyKeys(tag uint16, m *wire.Verify) error {
	start := time.Now()
	prefix := m.Prefix
	var match *names.Pattern
	switch {
	case m.Glob:
		pattern, err := names.ParsePattern(m.Prefix)
		if err != nil {
			return s.reply(tag, err)
		}
		prefix, match = pattern.Prefix, &pattern
	case prefix != "":
		if err := names.CheckPrefix(m.Prefix); err != nil {
			return s.reply(tag, err)
		}
	}
	ctx, stop := s.watched()
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	found := make(chan *wire.Damaged)
	p := &pass{store: s.node.store, readers: verifyReaders, remove: m.Remove, removeNoSum: m.RemoveNoChecksum,
		unlink: s.node.store.removeIfSame, found: found, match: match, pace: pacer(m.Rate)}
	ended := make(chan error, 1)
	go func() {
		defer close(found)
		ended <- p.run(ctx, prefix)
	}()
	tick := time.NewTicker(verifyTell)
	defer tick.Stop()
	var werr error
	tell := func(m wire.Message) {
		if werr == nil {
			if werr = s.conn.Write(tag, 0, m); werr != nil {
				cancel()
			}
		}
	}
	for open := true; open; {
		var d *wire.Damaged
		select {
		case d, open = <-found:
			if open {
				s.node.damagedKey(d)
				tell(d)
			}
		case <-tick.C:
			tell(p.verified(false))
		}
	}
	err := <-ended
	if werr != nil {
		return werr
	}
	s.logRequest("verify", m.Prefix, int64(p.bytes.Load()), start, err)
	if err != nil {
		return s.reply(tag, err)
	}
	return s.conn.Write(tag, 0, p.verified(true))
}

// verified tells how far the pass is.
func (p *pass) verified(last bool) *wire.Verified {
	return &wire.Verified{Keys: p.keys.Load(), Bytes: p.bytes.Load(), Damaged: p.damaged.Load(), Last: last}
}

// pacer returns a pass's pace of so many bytes a second, nil for 0.
func pacer(bytes uint64) func(context.Context, int) error {
	if bytes == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(bytes), xfer.ChunkSize).WaitN
}

// damagedKey counts and logs a key that was found to be damaged. A file without a checksum
// is only logged.
func (n *Node) damagedKey(d *wire.Damaged) {
	fields := []zap.Field{zap.String("key", d.Key), zap.Uint64("bytes", d.Size), zap.Bool("removed", d.Removed), zap.String("outcome", d.Text)}
	if d.Failed != "" {
		fields = append(fields, zap.String("not_removed", d.Failed))
	}
	if d.NoChecksum {
		n.log.Warn("key without checksum", fields...)
		return
	}
	n.corrupt.Add(1)
	n.log.Error("damaged key", fields...)
}
