package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// wantCode fails the test unless err is an *Error of the given code that says
// something.
func wantCode(t *testing.T, err error, code Code) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code || e.Text == "" {
		t.Errorf("error %v, want one of kind %s", err, code)
	}
}

// allocated returns how many bytes one call of f allocates on the heap.
// Unlike a duration, that does not depend on the machine.
func allocated(f func()) uint64 {
	const runs = 16
	f()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / runs
}

// A message that ends early is refused, unless it ends before what may be missing.
func TestTruncated(t *testing.T) {
	eachGolden(t, func(t *testing.T, i int, h Header, body []byte) {
		if m, ok := golden[i].m.(*HealthInfo); ok && m.Open {
			body = body[:len(body)-1] // the byte may be missing by itself: see TestTrailingBytes
		}
		n, _ := choice(golden[i].m)
		body = body[:len(body)-n] // these, too
		fixed := len(body)
		if !isShort(golden[i].m) {
			fixed -= optional[h.Type]
		}
		if m, ok := golden[i].m.(*JobInfo); ok {
			fixed -= 4 * len(m.Without)
		}
		switch m := golden[i].m.(type) {
		case *Object:
			fixed -= len(m.Path)
		case *Entries:
			if m.summed() {
				fixed -= 8 * len(m.List)
			}
		}
		if h.Type == TypePrepare {
			fixed = 0
		}
		for n := range body {
			m, err := Decode(h.Type, body[:n:n])
			if n == fixed {
				if err != nil || !isShort(m) {
					t.Errorf("without what may be missing: %+v, %v", m, err)
				}
				continue
			}
			wantCode(t, err, CodeBadRequest)
			if m != nil {
				t.Errorf("%d of %d bytes decode as %+v", n, len(body), m)
			}
		}
	})
}

// Fields that a later version has added are ignored.
func TestTrailingBytes(t *testing.T) {
	eachGolden(t, func(t *testing.T, i int, h Header, body []byte) {
		if isShort(golden[i].m) {
			body = append(body, make([]byte, optional[h.Type])...) // its own fields come first
		}
		if m, ok := golden[i].m.(*HealthInfo); ok && !m.Open {
			body = append(body, 0) // and this one
		}
		if n, could := choice(golden[i].m); could && n == 0 {
			body = append(body, make([]byte, 4+4)...) // and these
		}
		for _, more := range []string{"\x00", "\xff", strings.Repeat("\x00", 21), strings.Repeat("x", 1000)} {
			m, err := Decode(h.Type, append(bytes.Clone(body), more...))
			if err != nil || !reflect.DeepEqual(m, golden[i].m) {
				t.Errorf("with %d bytes more: %+v, %v", len(more), m, err)
			}
		}
	})
}

// A length or count that lies costs no memory: the limit is checked first.
// Every place in a body may be such a length.
func TestLyingLengths(t *testing.T) {
	eachGolden(t, func(t *testing.T, _ int, h Header, body []byte) {
		for at := 0; at+4 <= len(body); at++ {
			for _, lie := range []uint32{math.MaxUint32, math.MaxInt32, MaxData, MaxMessage} {
				b := bytes.Clone(body)
				binary.BigEndian.PutUint32(b[at:], lie)
				var err error
				if n := allocated(func() { _, err = Decode(h.Type, b) }); n > 4<<10 {
					t.Errorf("%d at byte %d of the body: %d bytes allocated, %v", lie, at, n, err)
				}
			}
		}
	})
}

// The body bounds the count of what is in it.
func TestCountIsBounded(t *testing.T) {
	for typ, size := range map[Type]int{TypeEntries: 21, TypeTasks: taskSize, TypeCount: 4, TypeCounts: 8} {
		body := make([]byte, 4+size*10)
		for _, c := range []struct {
			count uint32
			ok    bool
		}{{10, true}, {9, true}, {11, false}, {MaxMessage, false}, {math.MaxInt32, false}, {math.MaxUint32, false}} {
			binary.BigEndian.PutUint32(body, c.count)
			var err error
			n := allocated(func() { _, err = Decode(typ, body) })
			if (err == nil) != c.ok || n > 4<<10 {
				t.Errorf("%s: %d in %d bytes: %v, %d bytes allocated", typ, c.count, len(body), err, n)
			}
			if !c.ok {
				wantCode(t, err, CodeBadRequest)
			}
		}
	}
}

// An option that this version does not know is refused rather than ignored:
// the job would not run as its client wants.
func TestUnknownJobOptions(t *testing.T) {
	for bit := range 32 {
		job := Job{ID: 1, Verb: VerbMap, Options: 1<<bit | JobResume, Indir: "b", Outdir: "o", Command: "cat"}
		for _, m := range []Message{&job, &JobInfo{Job: job}, &Attach{Options: job.Options}} {
			_, err := Decode(m.Type(), m.append(nil))
			known := bit <= 13
			if known && err != nil {
				t.Errorf("%s with option %d: %v", m.Type(), bit, err)
			}
			if !known {
				wantCode(t, err, CodeUnsupported)
			}
		}
	}
}

// Every string has the limit it should have: one at the limit passes, one
// above does not.
func TestStringLimits(t *testing.T) {
	path := strings.Repeat("p", 4096)
	key, longKey := strings.Repeat("k", 1024), strings.Repeat("k", 1025)
	name, longName := strings.Repeat("n", 1025), strings.Repeat("n", 1026)
	cmd, longCmd := strings.Repeat("c", 131071), strings.Repeat("c", 131072)
	ok, longOK := strings.Repeat("\xff", 255), strings.Repeat("\xff", 256)
	file, longFile := strings.Repeat("f", 255), strings.Repeat("f", 256)
	text := strings.Repeat("t", 32768)
	why := Error{Code: CodeTaskFailed, Key: key, Server: key, Text: text, Stderr: text}
	job := Job{OKExit: ok, Indir: key, Outdir: key, Command: cmd}
	for _, c := range []struct {
		what      string
		fits, not Message
	}{
		{"put key", &Put{Key: key}, &Put{Key: longKey}},
		{"get key", &Get{Key: key, Offset: 1}, &Get{Key: longKey}},
		{"push key", &Push{Key: key}, &Push{Key: longKey}},
		{"eval key", &Eval{Key: key}, &Eval{Key: longKey}},
		{"eval command", &Eval{Key: key, Command: cmd}, &Eval{Command: longCmd}},
		{"list prefix", &List{key}, &List{longKey}},
		{"remove prefix", &Remove{key}, &Remove{longKey}},
		{"counted directory", &Count{[]string{key}}, &Count{[]string{longKey}}},
		{"reset directory", &Reset{Dirs: []string{key}}, &Reset{Dirs: []string{longKey}}},
		{"stat key", &Stat{key}, &Stat{longKey}},
		{"path", &Object{Path: path}, &Object{Path: path + "x"}},
		{"entry name", &Entries{[]Entry{{Name: name}}}, &Entries{[]Entry{{Name: longName}}}},
		{"release", &HealthInfo{Release: key}, &HealthInfo{Release: longKey}},
		{"indir", &Job{Indir: key}, &Job{Indir: longKey}},
		{"outdir", &Job{Outdir: key}, &Job{Outdir: longKey}},
		{"job command", &job, &Job{Command: longCmd}},
		{"exit codes", &Job{OKExit: ok}, &Job{OKExit: longOK}},
		{"info's exit codes", &JobInfo{Job: Job{OKExit: ok}}, &JobInfo{Job: Job{OKExit: longOK}}},
		{"info's indir", &JobInfo{Job: Job{Indir: key}}, &JobInfo{Job: Job{Indir: longKey}}},
		{"info's outdir", &JobInfo{Job: Job{Outdir: key}}, &JobInfo{Job: Job{Outdir: longKey}}},
		{"info's command", &JobInfo{Job: job, Why: why}, &JobInfo{Job: Job{Command: longCmd}}},
		{"task key", &Tasks{[]Task{{Key: key, Error: text, Stderr: text}}}, &Tasks{[]Task{{}, {Key: longKey}}}},
		{"asset name", &Asset{Name: file}, &Asset{Name: longFile}},
	} {
		b := c.fits.append(nil)
		if m, err := Decode(c.fits.Type(), b); err != nil || !reflect.DeepEqual(m, c.fits) {
			t.Errorf("%s at its limit: %v", c.what, err)
		}
		if len(b) > MaxMessage {
			t.Errorf("%s at its limit: the body is %d bytes", c.what, len(b))
		}
		m, err := Decode(c.not.Type(), c.not.append(nil))
		if m != nil {
			t.Errorf("%s over its limit is accepted", c.what)
		}
		wantCode(t, err, CodeTooLarge)
	}
	// The encoder shortens these strings, so their lengths are written by hand.
	for _, c := range []struct {
		m     Message // with this field empty
		at    int     // offset of the field
		limit int
	}{
		{&Error{}, 7, 1024},
		{&Error{}, 7 + 4, 1024},
		{&Error{}, 7 + 4 + 4, 32768},
		{&Error{}, 7 + 4 + 4 + 4, 32768},
		{&Discard{}, 7 + 4 + 4, 32768},
		{&Suspend{}, 7 + 4 + 4, 32768},
		{&Tasks{[]Task{{}}}, 4 + taskSize - 17, 32768},
		{&Tasks{[]Task{{}}}, 4 + taskSize - 13, 32768},
		{&JobInfo{}, len((&JobInfo{}).append(nil)) - 4, 32768},
	} {
		for _, over := range []int{0, 1} {
			b := c.m.append(nil)
			binary.BigEndian.PutUint32(b[c.at:], uint32(c.limit+over))
			b = append(b[:c.at+4], append(make([]byte, c.limit+over), b[c.at+4:]...)...)
			_, err := Decode(c.m.Type(), b)
			if over == 0 && err != nil {
				t.Errorf("field at %d of %s at its limit: %v", c.at, c.m.Type(), err)
			}
			if over == 1 {
				wantCode(t, err, CodeTooLarge)
			}
		}
	}
}

// An Error shortens a text that is too long: no peer would accept its frame otherwise.
func TestErrorIsCut(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	frame := AppendFrame(nil, 1, 0, &Error{Code: CodeTaskFailed, Key: long, Server: long, Text: long, Stderr: long})
	h, err := DecodeHeader(frame)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Decode(h.Type, frame[HeaderSize:])
	if err != nil {
		t.Fatal(err)
	}
	if want := (&Error{Code: CodeTaskFailed, Key: long[:MaxKey], Server: long[:MaxKey], Text: long[:MaxErrorText], Stderr: long[:MaxErrorText]}); !reflect.DeepEqual(m, want) {
		t.Error("not cut at the limits")
	}
}

// The texts of a job are shortened in the same way. They may come from an ERROR.
func TestJobTextsAreCut(t *testing.T) {
	long := strings.Repeat("x", MaxErrorText-1) + "\u20ac"
	short := long[:MaxErrorText-1] // no half character
	for _, c := range []struct{ m, want Message }{
		{&Discard{Error{Text: long}}, &Discard{Error{Text: short}}},
		{&Suspend{Error{Text: long}}, &Suspend{Error{Text: short}}},
		{&JobInfo{Why: Error{Text: long}}, &JobInfo{Why: Error{Text: short}}},
		{&Tasks{[]Task{{Error: long, Stderr: long}}}, &Tasks{[]Task{{Error: short, Stderr: long[:MaxErrorText]}}}},
	} {
		if m, err := Decode(c.m.Type(), c.m.append(nil)); err != nil || !reflect.DeepEqual(m, c.want) {
			t.Errorf("%s: not cut at its limits: %v", c.m.Type(), err)
		}
	}
}

// A server gathers tasks until a TASKS frame has MaxEntries bytes. One task more than
// that still makes a legal frame. TaskSize is the number of bytes that a task takes.
func TestTaskSize(t *testing.T) {
	text := strings.Repeat("x", MaxErrorText)
	largest := Task{Key: text[:MaxKey], Error: text, Stderr: text}
	if MaxEntries+4+largest.TaskSize() > MaxMessage {
		t.Error("a full TASKS frame is over MaxMessage")
	}
	for _, task := range []Task{{}, largest, {Exit: -1, Start: -1, Wall: 1, Key: "k"}, {Error: "ee"}, {Stderr: "sss"}} {
		if got, want := len((&Tasks{[]Task{task}}).append(nil)), 4+task.TaskSize(); got != want {
			t.Errorf("%d, %d and %d bytes of strings: %d bytes, TaskSize says %d", len(task.Key), len(task.Error), len(task.Stderr), got, want)
		}
	}
	if taskSize != 97 {
		t.Errorf("taskSize is %d, PROTOCOL.md's task has 97 bytes", taskSize)
	}
}

// A server gathers entries until an ENTRIES frame has MaxEntries bytes. One entry more
// than that still makes a legal frame. EntrySize is the number of bytes that an entry
// takes.
func TestEntrySize(t *testing.T) {
	if MaxEntries+4+4+(&Entry{Name: strings.Repeat("x", MaxKey+1)}).EntrySize(true) > MaxMessage {
		t.Error("a full ENTRIES frame is over MaxMessage")
	}
	for _, n := range []int{0, 1, 1025} {
		e := Entry{EntryKey, 1, 2, strings.Repeat("n", n), 0}
		if got, want := len((&Entries{[]Entry{e}}).append(nil)), 4+e.EntrySize(false); got != want {
			t.Errorf("name of %d bytes: %d bytes, EntrySize says %d", n, got, want)
		}
		e.Sum = 1
		if got, want := len((&Entries{[]Entry{e}}).append(nil)), 4+e.EntrySize(true)+4; got != want {
			t.Errorf("name of %d bytes with a checksum: %d bytes, want %d", n, got, want)
		}
	}
}

// A client gathers tasks until an INPUTS frame has MaxEntries bytes, and sends a longer
// task alone. Each makes a legal frame. InputSize is the number of bytes that a task takes.
func TestInputSize(t *testing.T) {
	largest := Input{Name: strings.Repeat("x", MaxKey), Record: strings.Repeat("x", MaxRecord)}
	if 5+largest.InputSize()+CheckSize > MaxMessage || 5+MaxEntries+CheckSize > MaxMessage {
		t.Error("a full INPUTS frame is over MaxMessage")
	}
	for _, in := range []Input{{}, largest, {Size: 1}, {Name: "ee"}, {Record: "sss"}} {
		if got, want := len((&Inputs{List: []Input{in}}).append(nil)), 5+in.InputSize(); got != want {
			t.Errorf("%d and %d bytes of strings: %d bytes, InputSize says %d", len(in.Name), len(in.Record), got, want)
		}
	}
}

func TestRoundTripExtremes(t *testing.T) {
	const (
		u64 = math.MaxUint64
		lo  = math.MinInt64
	)
	odd := "\x00\x01\n\xff\xfe \u20ac"
	many := make([]Entry, (MaxMessage-4)/21)
	for i := range many {
		many[i].Kind = EntryKind(i)
	}
	manyTasks := make([]Task, (MaxMessage-4)/taskSize)
	for i := range manyTasks {
		manyTasks[i].Attempt = uint32(i)
	}
	for _, m := range []Message{
		&Error{Code: math.MaxUint16, Exit: math.MinInt32, Signal: 255, Key: odd, Server: odd, Text: odd, Stderr: odd},
		&Error{Exit: math.MaxInt32},
		&Put{u64, odd}, &Put{},
		&Get{odd, u64, u64}, &Get{Length: 1}, &Get{}, &Flush{math.MaxUint16}, &Flush{},
		&Push{u64, u64, odd, math.MaxUint32, u64}, &Push{Epoch: 1}, &Push{Source: 1}, &Push{},
		&Eval{odd, odd}, &Eval{},
		&Object{u64, lo, u64, odd}, &Object{0, math.MaxInt64, 0, ""},
		&Trailer{u64, u64}, &Trailer{},
		&Exit{math.MinInt32, 255, Trailer{u64, u64}, Trailer{u64, u64}}, &Exit{Code: -1}, &Exit{Code: math.MaxInt32},
		&List{odd}, &Remove{odd}, &Remove{}, &Removed{u64}, &Removed{}, &End{u64}, &End{}, &Stat{odd}, &Stat{},
		&Verify{odd, u64, true}, &Verify{}, &Damaged{odd, u64, true, odd}, &Damaged{}, &Verified{u64, u64, u64, true}, &Verified{},
		&Count{[]string{odd, ""}}, &Count{[]string{}}, &Counts{[]uint64{u64, 0}}, &Counts{[]uint64{}},
		&Entries{[]Entry{{255, u64, lo, odd, 0}, {}}}, &Entries{[]Entry{{255, u64, lo, odd, u64}, {}}}, &Entries{many},
		&HealthInfo{odd, math.MaxUint32, math.MaxUint32, u64, u64, u64, u64, u64, u64, u64, true}, &HealthInfo{SuspendedJobs: 1}, &HealthInfo{Open: true}, &HealthInfo{},
		&Job{u64, 255, jobOptions, math.MaxUint32, u64, odd, odd, odd, odd, u64, u64, math.MaxUint32, odd, []string{odd, ""}}, &Job{More: []string{""}}, &Job{Rules: "x"}, &Job{Wait: 1}, &Job{Driver: 1}, &Job{Batch: 1}, &Job{},
		&Ready{u64, u64, u64, u64}, &Ready{},
		&Progress{u64, u64, u64, u64, u64, u64}, &Progress{},
		&Done{Progress{u64, u64, u64, u64, u64, u64}}, &Done{},
		&Committed{u64, u64}, &Committed{}, &Prepare{[]uint32{0, math.MaxUint32}}, &Prepare{},
		&Discard{Error{Code: 1, Text: odd}}, &Discard{},
		&Tasks{[]Task{{255, 255, math.MaxUint16, math.MinInt32, math.MaxUint32, lo, u64, u64, u64, u64, u64, u64, u64, odd, odd, odd, u64, 255}, {Exit: math.MaxInt32}}},
		&Tasks{manyTasks}, &Tasks{[]Task{}},
		&Settle{u64}, &Settle{}, &Settled{255}, &Settled{}, &Jobs{u64}, &Jobs{},
		&JobInfo{Job{u64, 255, jobOptions, math.MaxUint32, u64, odd, odd, odd, odd, u64, u64, math.MaxUint32, odd, []string{odd}}, 255, lo, math.MaxInt64,
			Ready{u64, u64, u64, u64}, Progress{u64, u64, u64, u64, u64, u64}, u64, u64, Error{Code: 1, Key: odd, Text: odd}, u64, true, u64, []uint32{0, math.MaxUint32}}, &JobInfo{Term: 1}, &JobInfo{Job: Job{Batch: 1}}, &JobInfo{},
		&JobTasks{u64}, &JobTasks{}, &Cancel{u64, true}, &Cancel{u64, false}, &Cancel{},
		&Suspend{Error{Code: 1, Text: odd}}, &Suspend{}, &Attached{Phase: 255, Keys: u64, Bytes: u64, Seen: u64}, &Attached{},
		&Attach{u64, u64, u64, u64, true, jobOptions, math.MaxUint32, u64, u64}, &Attach{},
		&Reset{u64, math.MaxUint32, u64, []string{odd, ""}}, &Reset{Dirs: []string{}},
		&Asset{u64, u64, 255, odd}, &Asset{},
		&Inputs{true, []Input{{u64, odd, odd}, {}}}, &Inputs{},
		&Secrets{odd, odd}, &Secrets{}, &AskSecrets{u64},
	} {
		frame := AppendFrame(nil, math.MaxUint16, 0x7f, m)
		h, err := DecodeHeader(frame)
		if err != nil {
			t.Errorf("%s: %v", m.Type(), err)
			continue
		}
		got, err := Decode(h.Type, frame[HeaderSize:])
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%s: %+v became %+v, %v", m.Type(), m, got, err)
		}
	}
}

// Raw and unknown types hold no message, whatever their body.
func TestDecodeRawTypes(t *testing.T) {
	for _, typ := range []Type{TypeData, TypeStderr, 0, 0x05, 0x1b, 0x2d, 0x70, 0xff} {
		for _, body := range []string{"", "x", strings.Repeat("\x00", 64)} {
			m, err := Decode(typ, []byte(body))
			if m != nil {
				t.Errorf("%s decodes as %v", typ, m)
			}
			want := CodeUnsupported
			if typ.known() {
				want = CodeBadRequest
			}
			wantCode(t, err, want)
		}
	}
}

func TestDecodeHeaderErrors(t *testing.T) {
	known := make(map[Type]uint32)
	for _, p := range pinnedTypes {
		known[p.t] = p.max
	}
	for n := range 256 {
		typ := Type(n)
		limit, ok := known[typ]
		if !ok {
			limit = MaxMessage // whoever reads it can skip it
		}
		for _, c := range []struct {
			len  uint32
			code Code // 0: no error
		}{{0, 0}, {limit, 0}, {limit + 1, CodeTooLarge}, {math.MaxUint32, CodeTooLarge}} {
			want := Header{c.len, typ, 0xa5, 0x0102}
			h, err := DecodeHeader(append(want.Append(nil), "body"...))
			switch {
			case c.code != 0:
				wantCode(t, err, c.code)
			case err != nil:
				t.Errorf("%+v: %v", want, err)
			}
			if h != want {
				t.Errorf("%+v became %+v", want, h)
			}
		}
	}
}

func TestErrorText(t *testing.T) {
	for _, c := range []struct {
		e    *Error
		want string
	}{
		{&Error{Code: CodeExists}, "exists"},
		{&Error{Code: CodeExists, Text: "b/k"}, "exists: b/k"},
		{&Error{Code: 4242, Text: "x"}, "code-4242: x"},
		{Errorf(CodeBadKey, "%d%%", 5), "bad-key: 5%"},
		{&Error{Code: CodeTaskFailed, Text: "100%s"}, "task-failed: 100%s"},
	} {
		if got := c.e.Error(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
