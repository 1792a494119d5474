package node

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// data handles one request of a data connection. An error means that the
// stream position is lost and the connection over.
func (s *session) data(h wire.Header) error {
	m, err := s.conn.ReadMessage(h)
	if errors.Is(err, wire.CodeUnsupported) {
		return s.reply(h.Tag, err) // no stream follows it: a sender must ask before it uses an unknown type with one
	}
	if err != nil {
		// If the frame was a broken PUT, the stream that follows it cannot be told
		// from requests.
		return err
	}
	if h.Type != wire.TypePut && h.Type != wire.TypePush && h.Type != wire.TypeGet && h.Type != wire.TypeCopy {
		if err := s.conn.SendHeld(); err != nil { // this one may take long
			return err
		}
	}
	switch m := m.(type) {
	case *wire.Put:
		return s.put(h.Tag, m)
	case *wire.Push:
		return s.push(h.Tag, m)
	case *wire.Asset:
		return s.asset(h.Tag, m)
	case *wire.Get:
		return s.get(h, m)
	case *wire.Eval:
		return s.eval(h, m)
	case *wire.Copy:
		return s.copyKey(h, m)
	case *wire.Shell:
		return s.shell(h, m)
	case *wire.Flush:
		return s.reply(h.Tag, nil) // of a request that was answered
	}
	return wire.Errorf(wire.CodeBadRequest, "a %s frame is no request of the data channel", h.Type)
}

// smallPut is the size in bytes of the largest put for which it is not worth a system
// call to refuse it early.
const smallPut = 64 << 10

// put stores a key.
func (s *session) put(tag uint16, m *wire.Put) error {
	st := s.node.store
	check := func() error {
		if s.node.ctx.Err() != nil {
			return errShutdown
		}
		if err := s.node.checkOwner(m.Key); err != nil {
			return err
		}
		if m.Size <= smallPut {
			return nil // st.put finds out, and the bytes are here already
		}
		return st.checkAbsent(m.Key)
	}
	return s.receive("put", tag, m.Key, m.Size, check, func(tmp *xfer.Temp, n int64, sum uint64) error {
		if m.Mtime != 0 {
			if err := setMtime(tmp, m.Mtime); err != nil {
				return err
			}
		}
		return st.put(tmp, m.Key, n, sum)
	})
}

// push stages the output of a peer's task.
func (s *session) push(tag uint16, m *wire.Push) error {
	j, err := s.node.enterJob(m.Job)
	if err == nil {
		defer j.leave()
	}
	check := func() error {
		if err != nil {
			return err
		}
		if err := s.node.checkOwner(m.Key); err != nil {
			return err
		}
		return j.accepts(m.Key)
	}
	return s.receive("push", tag, m.Key, m.Size, check, func(tmp *xfer.Temp, n int64, sum uint64) error {
		return j.accept(m, tmp, s.lastDir(j.stage), n, sum)
	})
}

// receive takes a stream into an unnamed file, verifies it, and calls publish to give
// the file its name. Every object comes in this way. There is one answer. It is sent
// early if check or the disk has failed, so that the sender can stop.
func (s *session) receive(verb string, tag uint16, key string, size uint64, check func() error, publish func(tmp *xfer.Temp, n int64, sum uint64) error) error {
	start := time.Now()
	var tmp *xfer.Temp
	err := check()
	if err == nil {
		tmp, err = s.node.store.create()
	}
	if err == nil {
		defer tmp.Close()
		if size != wire.SizeUnknown && size >= preallocateMin {
			err = s.preallocate(tmp, size)
		}
	}
	if err != nil {
		err = storeError(err, key)
		if werr := s.reply(tag, err); werr != nil {
			return werr
		}
		n, _, _ := s.conn.Recv(discard{}, nil)
		s.logRequest(verb, key, n, start, err)
		return s.checkUsable()
	}
	var early error // of the write that told the sender at once
	n, sum, err := s.conn.Recv(tmp.File, func(werr error) {
		early = s.reply(tag, storeError(werr, key))
	})
	if s.conn.Broken() {
		s.logRequest(verb, key, n, start, err)
		return err
	}
	if _, said := err.(*xfer.PeerError); said {
		err = wire.Errorf(wire.CodeCanceled, "the sender gave up after %d bytes", n) // as with ABORT, whatever its reason
	}
	if _, failed := err.(*xfer.SinkError); failed {
		s.logRequest(verb, key, n, start, storeError(err, key))
		return early
	}
	if err == nil && size != wire.SizeUnknown && uint64(n) != size {
		err = wire.Errorf(wire.CodeBadRequest, "%d bytes came, %d were announced", n, size)
	}
	if err == nil {
		err = publish(tmp, n, sum)
	}
	if err != nil {
		err = storeError(err, key)
	}
	s.logRequest(verb, key, n, start, err)
	if err == nil {
		return s.conn.WriteSoon(tag, 0, wire.Empty{T: wire.TypeOK})
	}
	return s.reply(tag, err)
}

// preallocateMin is the size from which on space is reserved before the bytes come.
// That saves the file system work and reports a full disk at once. For a small key
// it is only one more system call (bench/NOTES.md, Small keys in).
const preallocateMin = 64 << 10

// preallocate reserves space. A size that no disk can hold is an error.
func (s *session) preallocate(tmp *xfer.Temp, size uint64) error {
	if size > 1<<62 {
		return wire.Errorf(wire.CodeTooLarge, "%d bytes", size)
	}
	return tmp.Preallocate(int64(size))
}

// checkUsable returns an error if the connection cannot be used any more.
func (s *session) checkUsable() error {
	if s.conn.Broken() {
		return fmt.Errorf("lost in a stream that was being dropped")
	}
	return nil
}

// discard is a writer that drops all bytes.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// packing returns the packing that the flags LZ4 and PACKALL, or a job's options, ask
// for.
func packing(may, all bool) xfer.Packing {
	switch {
	case may && all:
		return xfer.PackAlways
	case may:
		return xfer.PackAuto
	}
	return xfer.PackNever
}

// get sends a key, from disk to socket in the kernel unless it is packed.
func (s *session) get(h wire.Header, m *wire.Get) error {
	start := time.Now()
	err := s.node.checkOwner(m.Key)
	var o *object
	if err == nil {
		o, err = s.node.store.get(m.Key)
	}
	if err != nil {
		s.logRequest("get", m.Key, 0, start, err)
		return s.reply(h.Tag, err)
	}
	defer o.Close()
	size, err := o.rangeOf(m)
	if err != nil {
		s.logRequest("get", m.Key, 0, start, err)
		return s.reply(h.Tag, err)
	}
	pack := packing(h.Flags&wire.FlagLZ4 != 0, h.Flags&wire.FlagPackAll != 0)
	var flush uint16
	flushed := func() (ok bool) {
		flush, ok = s.conn.Flushed(h.Tag)
		return ok
	}
	if size == o.size {
		err = s.conn.SendFile(h.Tag, o.head(), wire.FlagStream, o.File, size, o.sum, pack, true, flushed)
	} else {
		// The stored checksum is of the whole key: that of a range is computed here.
		src := xfer.Source{R: io.NewSectionReader(o.File, int64(m.Offset), size), Size: size, Pack: pack}
		_, _, err = s.conn.SendStream(h.Tag, o.head(), wire.FlagStream, src, flushed)
	}
	s.logRequest("get", m.Key, size, start, err)
	switch {
	case errors.Is(err, xfer.ErrRefused):
		return s.reply(flush, nil)
	case errors.As(err, new(*xfer.SourceError)):
		return nil // the client got an ABORT
	}
	return err
}

// rangeOf returns how many bytes a GET asks for.
func (o *object) rangeOf(m *wire.Get) (int64, error) {
	if m.Offset > uint64(o.size) {
		return 0, &wire.Error{Code: wire.CodeBadRequest, Key: m.Key, Text: fmt.Sprintf("the range begins at %d, the key has %d bytes", m.Offset, o.size)}
	}
	size := uint64(o.size) - m.Offset
	if m.Length != 0 {
		size = min(size, m.Length)
	}
	return int64(size), nil
}
