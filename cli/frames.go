package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/spf13/cobra"

	"github.com/nathants/s4/wire"
)

func (a *app) frames() *cobra.Command {
	return &cobra.Command{
		Use:   "frames [FILE]",
		Short: "print a captured protocol stream, one line a frame",
		Long: `Print what one side of a connection sent, captured to FILE or piped to standard
input, one line a frame: its offset, type, tag, length and content. A damaged
stream is printed up to the damage; the exit code is then 1. See PROTOCOL.md.`,
		Example: `  s4 frames capture.bin
  printf ... | nc -N host port | s4 frames`,
		Args: wantArgs(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			in := a.stdin
			if len(args) == 1 && args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return failure{err}
				}
				defer f.Close()
				in = f
			}
			d := &dump{in: in, out: a.stdout}
			d.reset()
			if err := d.run(); err != nil {
				return failure{fmt.Errorf("offset %#x: %w", d.off, err)}
			}
			return nil
		},
	}
}

// dump prints a stream.
type dump struct {
	in     io.Reader
	out    io.Writer
	off    int64 // of the next frame
	data   dumpStream
	stderr dumpStream
}

// dumpStream is the DATA or STDERR frames since the last end of a stream.
type dumpStream struct {
	digest xxhash.Digest
	length uint64
	packed bool // some frames are lz4, which is not unpacked here
}

func (s *dumpStream) reset() {
	s.digest.Reset()
	s.length, s.packed = 0, false
}

// verdict compares the stream with the length and checksum in its last frame.
func (s *dumpStream) verdict(t wire.Trailer) string {
	switch sum := s.digest.Sum64(); {
	case s.packed:
		return " (packed, not checked)"
	case t.Length == s.length && t.Sum == sum:
		return " (matches)"
	default:
		return fmt.Sprintf(" (DOES NOT MATCH: %d bytes, xxh64 %016x)", s.length, sum)
	}
}

// take reads n bytes. It returns io.EOF if there are no bytes left at all.
func (d *dump) take(n int) ([]byte, error) {
	b := make([]byte, n)
	m, err := io.ReadFull(d.in, b)
	if err == io.ErrUnexpectedEOF {
		err = fmt.Errorf("the stream ends after %d of %d bytes", m, n)
	}
	return b[:m], err
}

func (d *dump) run() error {
	start, err := d.take(len(wire.Magic))
	if err == io.EOF {
		return nil
	}
	if err != nil {
		return err
	}
	switch string(start) {
	case wire.Magic:
		rest, err := d.take(wire.PreambleSize - len(start))
		if err != nil {
			return unexpectedEnd(err)
		}
		p, err := wire.DecodePreamble(append(start, rest...))
		if err != nil {
			return err
		}
		if !p.Speaks() {
			return fmt.Errorf("protocol version %s, this program knows %d", p.Versions(), wire.Version)
		}
		if err := d.print("PREAMBLE version=%s channel=%s auth=%d features=%s timeout=%dms fingerprint=%016x index=%s",
			p.Versions(), p.Channel, p.Auth, p.Features, p.IOTimeout, p.Fingerprint, index(p.Index)); err != nil {
			return err
		}
		d.off += wire.PreambleSize
		start = nil
		if p.Auth == wire.AuthSecret {
			if err := d.auth(); err != nil {
				return err
			}
		}
	case wire.RefusalPrefix[:4]:
		rest, err := io.ReadAll(io.LimitReader(d.in, wire.MaxRefusal))
		if err != nil {
			return err
		}
		return d.print("REFUSAL %q", append(start, rest...))
	}
	for {
		rest, err := d.take(wire.HeaderSize - len(start))
		if err == io.EOF && len(start) == 0 {
			return nil
		}
		if err != nil {
			return unexpectedEnd(err)
		}
		h, err := wire.DecodeHeader(append(start, rest...))
		if err != nil {
			return err
		}
		start = nil
		if err := d.frame(h); err != nil {
			return unexpectedEnd(err)
		}
		d.off += wire.HeaderSize + int64(h.Len)
	}
}

// auth prints what follows a preamble with the method AuthSecret, from either end: its
// nonce, and then its proof, unless it has left before that.
func (d *dump) auth() error {
	for _, part := range []struct {
		name string
		size int
	}{{"nonce", wire.NonceSize}, {"proof", wire.ProofSize}} {
		b, err := d.take(part.size)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := d.print("AUTH       %s=%x", part.name, b); err != nil {
			return err
		}
		d.off += int64(part.size)
	}
	return nil
}

// unexpectedEnd returns the error for a stream that ends inside a frame.
func unexpectedEnd(err error) error {
	if err == io.EOF {
		return errors.New("the stream ends inside a frame")
	}
	return err
}

func index(i uint32) string {
	if i == wire.AnyServer {
		return "any"
	}
	return strconv.FormatUint(uint64(i), 10)
}

func (d *dump) print(format string, args ...any) error {
	_, err := fmt.Fprintf(d.out, "%08x "+format+"\n", append([]any{d.off}, args...)...)
	return err
}

// frame prints one frame.
func (d *dump) frame(h wire.Header) error {
	head := fmt.Sprintf("%-10s tag=%d len=%d", h.Type, h.Tag, h.Len)
	if h.Flags != 0 {
		head += fmt.Sprintf(" flags=%#02x", h.Flags)
	}
	if h.Type == wire.TypeData || h.Type == wire.TypeStderr {
		return d.raw(h, head)
	}
	body, err := d.take(int(h.Len))
	if err != nil && h.Len > 0 {
		return err
	}
	if body, err = wire.OpenBody(h, body, false); err != nil {
		return err
	}
	m, err := wire.Decode(h.Type, body)
	if errors.Is(err, wire.CodeUnsupported) && wire.New(h.Type) == nil {
		return d.print("%s (not known)", head)
	}
	if err != nil {
		return err
	}
	text := head + fields(reflect.Indirect(reflect.ValueOf(m)))
	switch m := m.(type) {
	case *wire.Trailer:
		text += d.data.verdict(*m)
		d.reset()
	case *wire.Exit:
		out, errs := d.data.verdict(m.Stdout), d.stderr.verdict(m.Stderr)
		if out != errs {
			out = " stdout" + out + " stderr" + errs
		}
		text += out
		d.reset()
	case *wire.Secrets:
		text = fmt.Sprintf("%s sealed=%v", head, m.Salt != "") // a capture is shown to others
	case *wire.Error:
		d.reset()
	case wire.Empty:
		if m.T == wire.TypeAbort {
			d.reset()
		}
	}
	return d.print("%s", text)
}

// reset starts a new stream of DATA and STDERR.
func (d *dump) reset() {
	d.data.reset()
	d.stderr.reset()
}

// raw prints a DATA or STDERR frame with the start of its bytes.
func (d *dump) raw(h wire.Header, head string) error {
	first, err := d.take(int(min(h.Len, 24)))
	if err != nil && h.Len > 0 {
		return fmt.Errorf("the stream ends after %d of %d bytes", len(first), h.Len)
	}
	more := ""
	if int(h.Len) > len(first) {
		more = "…"
	}
	stream := &d.data
	if h.Type == wire.TypeStderr {
		stream = &d.stderr
	}
	stream.length += uint64(h.Len)
	stream.packed = stream.packed || h.Flags&wire.FlagLZ4 != 0
	_, _ = stream.digest.Write(first)
	if n, err := io.CopyN(&stream.digest, d.in, int64(h.Len)-int64(len(first))); err != nil {
		return fmt.Errorf("the stream ends after %d of %d bytes", int64(len(first))+n, h.Len)
	}
	return d.print("%s %q%s", head, first, more)
}

// fields prints the fields of a message.
func fields(v reflect.Value) string {
	var b strings.Builder
	t := v.Type()
	for i := range t.NumField() {
		f, name := v.Field(i), strings.ToLower(t.Field(i).Name)
		switch x := f.Interface().(type) {
		case wire.Verb, wire.JobOption, wire.JobState, wire.Verdict:
			fmt.Fprintf(&b, " %s=%s", name, x)
		case wire.Code:
			fmt.Fprintf(&b, " %s=%s", name, x.String())
		case wire.Type: // of an empty message
		case wire.Error:
			if x.Code == 0 {
				fmt.Fprintf(&b, " %s=none", name)
			} else {
				fmt.Fprintf(&b, " %s={%s}", name, fields(f)[1:])
			}
		case wire.Job:
			b.WriteString(fields(f))
		case wire.Ready, wire.Progress:
			if text := fields(f); t.Field(i).Anonymous {
				b.WriteString(text)
			} else {
				fmt.Fprintf(&b, " %s={%s}", name, text[1:])
			}
		case wire.Trailer:
			fmt.Fprintf(&b, " %s=%d/%016x", name, x.Length, x.Sum)
		case []wire.Entry:
			fmt.Fprintf(&b, " entries=%d", len(x))
			for _, e := range x {
				fmt.Fprintf(&b, " %q:%d", e.Name, e.Size)
				if e.Sum != 0 {
					fmt.Fprintf(&b, ":%016x", e.Sum)
				}
			}
		case []wire.Task:
			fmt.Fprintf(&b, " tasks=%d", len(x))
			for i := range x {
				b.WriteString(task(&x[i]))
			}
		case []wire.Input:
			fmt.Fprintf(&b, " tasks=%d", len(x))
			for i := range x {
				fmt.Fprintf(&b, " %q:%d(record=%d)", x[i].Name, x[i].Size, len(x[i].Record))
			}
		case []string:
			if name == "more" && x == nil { // of most jobs
				continue
			}
			fmt.Fprintf(&b, " %s=%q", name, x)
		case string:
			// Empty in most errors, which are then of the server that answers, in most OBJECTs, and in most JOBs.
			if name != "server" && name != "path" && name != "rules" || x != "" {
				fmt.Fprintf(&b, " %s=%q", name, x)
			}
		case uint64:
			switch {
			case x == 0 && isWholeGet(v):
			case name == "sum" || name == "job" || name == "id":
				fmt.Fprintf(&b, " %s=%016x", name, x)
			case name == "size" && x == wire.SizeUnknown:
				b.WriteString(" size=unknown")
			default:
				fmt.Fprintf(&b, " %s=%d", name, x)
			}
		default:
			fmt.Fprintf(&b, " %s=%v", name, x)
		}
	}
	return b.String()
}

// isWholeGet reports whether v is a GET of a whole key, which has no range.
func isWholeGet(v reflect.Value) bool {
	get, ok := v.Interface().(wire.Get)
	return ok && get.Offset == 0 && get.Length == 0
}

// task prints one run of a task: its key and state, and other fields only if they are
// out of the ordinary. 's4 jobs' prints the resources it used.
func task(t *wire.Task) string {
	var more []string
	add := func(set bool, format string, x any) {
		if set {
			more = append(more, fmt.Sprintf(format, x))
		}
	}
	add(t.Attempt != 1, "attempt=%d", t.Attempt)
	add(t.Exit != 0, "exit=%d", t.Exit)
	add(t.Signal != 0, "signal=%d", t.Signal)
	add(t.Code != 0, "code=%s", t.Code.String())
	add(t.Error != "", "error=%q", t.Error)
	add(t.Stderr != "", "stderr=%q", t.Stderr)
	text := fmt.Sprintf(" %q:%s", t.Key, t.State)
	if more == nil {
		return text
	}
	return text + "(" + strings.Join(more, " ") + ")"
}
