package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/cli"
	"github.com/nathants/s4/wire"
)

// runFrames runs s4 frames on a stream.
func runFrames(stream []byte, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = cli.Main(context.Background(), append([]string{"frames"}, args...), bytes.NewReader(stream), &out, &errs)
	return code, out.String(), errs.String()
}

// wantFrames checks that s4 frames prints exactly these lines.
func wantFrames(t *testing.T, stream []byte, want ...string) {
	t.Helper()
	code, out, errs := runFrames(stream)
	if code != 0 || errs != "" {
		t.Errorf("exit %d: %s", code, errs)
	}
	if all := strings.Join(want, "\n") + "\n"; out != all {
		t.Errorf("got\n%swant\n%s", out, all)
	}
}

func framesPreamble(index uint32) []byte {
	return wire.Preamble{Version: wire.Version, MinVersion: wire.Version, Channel: wire.ChannelData, Fingerprint: 0x1234, Index: index}.Append(nil)
}

func rawFrame(b []byte, typ wire.Type, flags byte, body string) []byte {
	b = wire.Header{Len: uint32(len(body)), Type: typ, Flags: flags, Tag: 1}.Append(b)
	return append(b, body...)
}

const framesSum = 0xe4c191d091bd8853 // xxh64 of "hello\n"

// framesRequests is a client's PUT and GET, 0x53 bytes of which are the
// preamble and the PUT.
func framesRequests() []byte {
	b := framesPreamble(wire.AnyServer)
	b = wire.AppendFrame(b, 1, 0, &wire.Put{Size: 6, Key: "b/bye"})
	b = rawFrame(b, wire.TypeData, 0, "hello\n")
	b = wire.AppendFrame(b, 1, 0, &wire.Trailer{Length: 6, Sum: framesSum})
	return wire.AppendFrame(b, 2, 0, &wire.Get{Key: "b/bye"})
}

var framesRequestLines = []string{
	`00000000 PREAMBLE version=1 channel=data auth=0 features=none timeout=0ms fingerprint=0000000000001234 index=any`,
	`00000020 PUT        tag=1 len=17 size=6 key="b/bye"`,
	`00000039 DATA       tag=1 len=6 "hello\n"`,
	`00000047 TRAILER    tag=1 len=16 length=6 sum=e4c191d091bd8853 (matches)`,
	`0000005f GET        tag=2 len=9 key="b/bye"`,
}

func TestFramesRequests(t *testing.T) {
	wantFrames(t, framesRequests(), framesRequestLines...)
}

// What follows a preamble with a secret is printed, from either end, also of a client
// that has left after its nonce.
func TestFramesAuth(t *testing.T) {
	p := wire.Preamble{Version: wire.Version, MinVersion: wire.Version, Channel: wire.ChannelData, Auth: wire.AuthSecret, Fingerprint: 0x1234, Index: wire.AnyServer, Extra: wire.ClientExtra}
	nonce, proof := strings.Repeat("n", wire.NonceSize), strings.Repeat("p", wire.ProofSize)
	b := append(p.Append(nil), nonce...)
	lines := []string{
		`00000000 PREAMBLE version=1 channel=data auth=1 features=none timeout=0ms fingerprint=0000000000001234 index=any`,
		`00000020 AUTH       nonce=` + strings.Repeat("6e", wire.NonceSize),
		`00000040 AUTH       proof=` + strings.Repeat("70", wire.ProofSize),
		`00000060 GET        tag=2 len=9 key="b/bye"`,
	}
	wantFrames(t, b, lines[:2]...)
	if code, out, errs := runFrames(append(b, proof[:7]...)); code != 1 || out != strings.Join(lines[:2], "\n")+"\n" || !strings.Contains(errs, "offset 0x40: the stream ends after 7 of 32 bytes") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	b = append(b, proof...)
	wantFrames(t, wire.AppendFrame(b, 2, 0, &wire.Get{Key: "b/bye"}), lines...)
}

func TestFramesReplies(t *testing.T) {
	b := framesPreamble(3)
	b = wire.AppendFrame(b, 1, 0, wire.Empty{T: wire.TypeOK})
	b = wire.AppendFrame(b, 0, 0, wire.Empty{T: wire.TypePing})
	b = wire.AppendFrame(b, 2, wire.FlagStream, &wire.Object{Size: 6, Mtime: 5, Sum: framesSum})
	b = rawFrame(b, wire.TypeData, 0, "hel")
	b = rawFrame(b, wire.TypeData, 0, "lo\n")
	b = wire.AppendFrame(b, 2, 0, &wire.Trailer{Length: 6, Sum: framesSum})
	b = wire.AppendFrame(b, 3, 0, &wire.Error{Code: wire.CodeNotFound, Key: "b/x\n", Text: "no such key"})
	wantFrames(t, b,
		`00000000 PREAMBLE version=1 channel=data auth=0 features=none timeout=0ms fingerprint=0000000000001234 index=3`,
		`00000020 OK         tag=1 len=0`,
		`00000028 PING       tag=0 len=0`,
		`00000030 OBJECT     tag=2 len=24 flags=0x02 size=6 mtime=5 sum=e4c191d091bd8853`,
		`00000050 DATA       tag=1 len=3 "hel"`,
		`0000005b DATA       tag=1 len=3 "lo\n"`,
		`00000066 TRAILER    tag=2 len=16 length=6 sum=e4c191d091bd8853 (matches)`,
		`0000007e ERROR      tag=3 len=38 code=not-found key="b/x\n" text="no such key" exit=0 signal=0 stderr=""`,
	)
}

func TestFramesControl(t *testing.T) {
	b := wire.AppendFrame(nil, 1, wire.FlagRecursive, &wire.List{Prefix: "b/"})
	b = wire.AppendFrame(b, 1, 0, &wire.Entries{List: []wire.Entry{
		{Kind: wire.EntryKey, Size: 7, Mtime: 5, Name: "b/k"}, {Kind: wire.EntryDir, Name: "b/d/"}}})
	b = wire.AppendFrame(b, 1, 0, &wire.Job{ID: 42, Verb: wire.VerbMapToN, Indir: "b", Outdir: "o", Command: "cat"})
	b = wire.AppendFrame(b, 1, 0, &wire.Done{Progress: wire.Progress{Tasks: 1, Failed: 2, Running: 3, BytesIn: 4, BytesOut: 5, Pushed: 6}})
	b = wire.AppendFrame(b, 1, 0, &wire.Push{Size: wire.SizeUnknown, Job: 42, Key: "o/k"})
	b = rawFrame(b, wire.TypeStderr, 0, strings.Repeat("x", 25))
	b = wire.AppendFrame(b, 1, 0, &wire.Exit{Code: -1, Signal: 9, Stdout: wire.Trailer{Sum: xxhash.Sum64(nil)}, Stderr: wire.Trailer{Length: 25, Sum: 1}})
	wantFrames(t, b,
		`00000000 LIST       tag=1 len=6 flags=0x01 prefix="b/"`,
		`0000000e ENTRIES    tag=1 len=53 entries=2 "b/k":7 "b/d/":0`,
		`0000004b JOB        tag=1 len=46 id=000000000000002a verb=map-to-n options=none retries=0 timeout=0 okexit="" indir="b" outdir="o" command="cat" wait=0 driver=0 batch=0`,
		`00000081 DONE       tag=1 len=48 tasks=1 failed=2 running=3 bytesin=4 bytesout=5 pushed=6`,
		`000000b9 PUSH       tag=1 len=23 size=unknown job=000000000000002a key="o/k" source=0 epoch=0`,
		`000000d8 STDERR     tag=1 len=25 "xxxxxxxxxxxxxxxxxxxxxxxx"…`,
		`000000f9 EXIT       tag=1 len=37 code=-1 signal=9 stdout=0/ef46db3751d8e999 stderr=25/0000000000000001 stdout (matches) stderr (DOES NOT MATCH: 25 bytes, xxh64 c0aaeb18b7725dc6)`,
	)
}

// TestFramesJobs prints the messages of jobs, as they come from a server and
// as it keeps them.
func TestFramesJobs(t *testing.T) {
	job := wire.Job{ID: 42, Verb: wire.VerbMap, Options: wire.JobKeepGoing | wire.JobResume | wire.JobReport | wire.JobLZ4 | wire.JobDetach | wire.JobPackAll | wire.JobNoVerify,
		Retries: 1, Timeout: 2, OKExit: "\x01", Indir: "b\n", Outdir: "o", Command: "echo \"\n"}
	b := wire.AppendFrame(nil, 0, wire.FlagChecked, &wire.JobInfo{Job: job, State: wire.JobFailed, Started: 3, Ended: 4,
		Ready:    wire.Ready{Tasks: 5, Bytes: 6, Keys: 7, Skipped: 8},
		Progress: wire.Progress{Tasks: 9, Failed: 10, Running: 11, BytesIn: 12, BytesOut: 13, Pushed: 14},
		Keys:     15, Bytes: 16, Why: wire.Error{Code: wire.CodeStorage, Text: "a\nb"}})
	b = wire.AppendFrame(b, 0, wire.FlagChecked, &wire.Tasks{List: []wire.Task{
		{State: wire.TaskDone, Attempt: 1, Key: "b/\n", Wall: 7},
		{State: wire.TaskRetried, Signal: 9, Exit: -1, Attempt: 1, Key: "b/k", Error: "killed\n", Stderr: "\x00\n"},
		{State: wire.TaskFailed, Code: wire.CodeTaskFailed, Exit: 3, Attempt: 2, Key: "b/k"}, {State: wire.TaskRunning, Attempt: 1, Key: "b/l"}, {State: 9, Attempt: 1}}})
	for _, m := range []wire.Message{
		&wire.Ready{Tasks: 1, Bytes: 2, Keys: 3, Skipped: 4}, &wire.Discard{Why: wire.Error{Code: wire.CodeCanceled, Text: "no\n"}}, &wire.Discard{}, &wire.Flush{Tag: 7},
		&wire.Settle{Job: 42}, &wire.Settled{Verdict: wire.VerdictOrphaned}, &wire.Settled{Verdict: 9},
		&wire.Jobs{}, &wire.JobTasks{Job: 42}, &wire.Cancel{Job: 42}, &wire.Asset{Size: 6, Job: 42, Exec: 1, Name: "a\n"},
	} {
		b = wire.AppendFrame(b, 1, 0, m)
	}
	wantFrames(t, b,
		`00000000 JOBINFO    tag=0 len=195 flags=0x80 id=000000000000002a verb=map options=keep-going,resume,report,lz4,detach,pack-all,no-verify retries=1 timeout=2 okexit="\x01" indir="b\n" outdir="o" command="echo \"\n" wait=0 driver=0 batch=0 state=failed started=3 ended=4 ready={tasks=5 bytes=6 keys=7 skipped=8} progress={tasks=9 failed=10 running=11 bytesin=12 bytesout=13 pushed=14} keys=15 bytes=16 why={code=storage key="" text="a\nb" exit=0 signal=0 stderr=""} term=0 attached=false missing=0 without=[]`,
		`000000cb TASKS      tag=0 len=514 flags=0x80 tasks=5 "b/\n":done "b/k":retried(exit=-1 signal=9 error="killed\n" stderr="\x00\n") "b/k":failed(attempt=2 exit=3 code=task-failed) "b/l":running "":9`,
		`000002d5 READY      tag=1 len=32 tasks=1 bytes=2 keys=3 skipped=4`,
		`000002fd DISCARD    tag=1 len=26 why={code=canceled key="" text="no\n" exit=0 signal=0 stderr=""}`,
		`0000031f DISCARD    tag=1 len=23 why=none`,
		`0000033e FLUSH      tag=1 len=2 tag=7`,
		`00000348 SETTLE     tag=1 len=8 job=000000000000002a`,
		`00000358 SETTLED    tag=1 len=1 verdict=orphaned`,
		`00000361 SETTLED    tag=1 len=1 verdict=9`,
		`0000036a JOBS       tag=1 len=8 job=0000000000000000`,
		`0000037a JOBTASKS   tag=1 len=8 job=000000000000002a`,
		`0000038a CANCEL     tag=1 len=8 job=000000000000002a discard=false`,
		`0000039a ASSET      tag=1 len=23 size=6 job=000000000000002a exec=1 name="a\n"`,
	)
}

// TestFramesAttach prints the messages with which a job is taken up again.
func TestFramesAttach(t *testing.T) {
	var b []byte
	for _, m := range []wire.Message{
		&wire.Job{ID: 42, Verb: wire.VerbMap, Options: wire.JobKeep | wire.JobDriven | wire.JobBash, Indir: "b", Outdir: "o", Command: "cat", Wait: 7, Driver: 8},
		&wire.Suspend{Why: wire.Error{Code: wire.CodeCanceled, Text: "no\n"}}, &wire.Suspend{},
		&wire.Attach{Job: 42, Term: 2, Driver: 8, Seen: 3, Again: true, Options: wire.JobKeep, Retries: 4, Timeout: 5, Wait: 6},
		&wire.Attached{Phase: wire.PhaseHalted, Ready: wire.Ready{Tasks: 1, Bytes: 2, Keys: 3, Skipped: 4}, Keys: 5, Bytes: 6}, &wire.Attached{Phase: 9},
		&wire.Reset{Job: 42, Source: 1, Epoch: 2, Dirs: []string{"o/a", "o/\n"}},
		&wire.Push{Size: 6, Job: 42, Key: "o/k", Source: 1, Epoch: 2}, &wire.Cancel{Job: 42, Discard: true},
		&wire.JobInfo{Job: wire.Job{ID: 42, Verb: wire.VerbMap, Options: wire.JobKeep, Indir: "b", Outdir: "o", Command: "cat", Wait: 7, Driver: 8}, State: wire.JobWaiting, Term: 2},
	} {
		b = wire.AppendFrame(b, 1, 0, m)
	}
	wantFrames(t, b,
		`00000000 JOB        tag=1 len=66 id=000000000000002a verb=map options=keep,driven,bash retries=0 timeout=0 okexit="" indir="b" outdir="o" command="cat" wait=7 driver=8 batch=0`,
		`0000004a SUSPEND    tag=1 len=26 why={code=canceled key="" text="no\n" exit=0 signal=0 stderr=""}`,
		`0000006c SUSPEND    tag=1 len=23 why=none`,
		`0000008b ATTACH     tag=1 len=57 job=000000000000002a term=2 driver=8 seen=3 again=true options=keep retries=4 timeout=5 wait=6`,
		`000000cc ATTACHED   tag=1 len=105 phase=halted ready={tasks=1 bytes=2 keys=3 skipped=4} progress={tasks=0 failed=0 running=0 bytesin=0 bytesout=0 pushed=0} keys=5 bytes=6 seen=0`,
		`0000013d ATTACHED   tag=1 len=105 phase=9 ready={tasks=0 bytes=0 keys=0 skipped=0} progress={tasks=0 failed=0 running=0 bytesin=0 bytesout=0 pushed=0} keys=0 bytes=0 seen=0`,
		`000001ae RESET      tag=1 len=38 job=000000000000002a source=1 epoch=2 dirs=["o/a" "o/\n"]`,
		`000001dc PUSH       tag=1 len=35 size=6 job=000000000000002a key="o/k" source=1 epoch=2`,
		`00000207 CANCEL     tag=1 len=9 job=000000000000002a discard=true`,
		`00000218 JOBINFO    tag=1 len=223 id=000000000000002a verb=map options=keep retries=0 timeout=0 okexit="" indir="b" outdir="o" command="cat" wait=7 driver=8 batch=0 state=waiting started=0 ended=0 ready={tasks=0 bytes=0 keys=0 skipped=0} progress={tasks=0 failed=0 running=0 bytesin=0 bytesout=0 pushed=0} keys=0 bytes=0 why=none term=2 attached=false missing=0 without=[]`,
	)
}

// TestFramesTypes prints a frame of every type.
func TestFramesTypes(t *testing.T) {
	for n := range 256 {
		typ := wire.Type(n)
		var b []byte
		switch m := wire.New(typ); {
		case m != nil:
			b = wire.AppendFrame(nil, 1, 0, m)
		case strings.HasPrefix(typ.String(), "TYPE-"):
			continue
		default:
			b = rawFrame(nil, typ, 0, "")
		}
		code, out, errs := runFrames(b)
		if code != 0 || !strings.HasPrefix(out, "00000000 "+typ.String()+" ") || strings.Count(out, "\n") != 1 {
			t.Errorf("%s: exit %d, %q, %q", typ, code, out, errs)
		}
	}
}

func TestFramesPacked(t *testing.T) {
	b := rawFrame(nil, wire.TypeData, wire.FlagLZ4, "\x00\x00\x00\x06\x60hello\n")
	b = wire.AppendFrame(b, 1, 0, &wire.Trailer{Length: 6, Sum: framesSum})
	b = rawFrame(b, wire.TypeData, 0, "hello\n") // the next stream is looked into again
	b = wire.AppendFrame(b, 1, 0, &wire.Trailer{Length: 6, Sum: framesSum})
	wantFrames(t, b,
		`00000000 DATA       tag=1 len=11 flags=0x01 "\x00\x00\x00\x06`+"`"+`hello\n"`,
		`00000013 TRAILER    tag=1 len=16 length=6 sum=e4c191d091bd8853 (packed, not checked)`,
		`0000002b DATA       tag=1 len=6 "hello\n"`,
		`00000039 TRAILER    tag=1 len=16 length=6 sum=e4c191d091bd8853 (matches)`,
	)
}

// TestFramesNoPreamble prints a stream that was captured later on.
func TestFramesNoPreamble(t *testing.T) {
	code, out, errs := runFrames(framesRequests()[wire.PreambleSize:])
	var want strings.Builder
	for _, line := range framesRequestLines[1:] {
		var off int
		_, _ = fmt.Sscanf(line, "%x", &off)
		fmt.Fprintf(&want, "%08x%s\n", off-wire.PreambleSize, line[8:])
	}
	if code != 0 || out != want.String() {
		t.Errorf("exit %d: %s\n%swant\n%s", code, errs, out, &want)
	}
}

func TestFramesRefusal(t *testing.T) {
	line := wire.AppendRefusal(nil, wire.CodeWrongCluster, "the client's differs")
	wantFrames(t, line, `00000000 REFUSAL "s4-error wrong-cluster: the client's differs\n"`)
}

func TestFramesNothing(t *testing.T) {
	if code, out, errs := runFrames(nil); code != 0 || out != "" || errs != "" {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
}

// TestFramesFlipped flips each bit of the object's bytes.
func TestFramesFlipped(t *testing.T) {
	for i := range 6 * 8 {
		b := framesRequests()
		b[0x41+i/8] ^= 1 << (i % 8)
		code, out, _ := runFrames(b)
		lines := strings.Split(out, "\n")
		if code != 0 || len(lines) != 6 || !strings.Contains(lines[3], "sum=e4c191d091bd8853 (DOES NOT MATCH: 6 bytes, xxh64 ") {
			t.Errorf("bit %d: exit %d\n%s", i, code, out)
		}
	}
	b := framesRequests()
	b[0x47+8+7]++ // the trailer's length
	if code, out, _ := runFrames(b); code != 0 || !strings.Contains(out, "length=7 sum=e4c191d091bd8853 (DOES NOT MATCH: 6 bytes, xxh64 e4c191d091bd8853)") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

var framesOffset = regexp.MustCompile(`^s4: frames: offset 0x([0-9a-f]+): .+\n$`)

// wantDamage checks that s4 frames prints the lines before the damage, and
// then says where it is.
func wantDamage(t *testing.T, what string, stream []byte, offset int, lines []string) {
	t.Helper()
	code, out, errs := runFrames(stream)
	want := ""
	if len(lines) > 0 {
		want = strings.Join(lines, "\n") + "\n"
	}
	if code != 1 || out != want {
		t.Errorf("%s: exit %d\n%swant\n%s", what, code, out, want)
	}
	if m := framesOffset.FindStringSubmatch(errs); m == nil || m[1] != fmt.Sprintf("%x", offset) {
		t.Errorf("%s: got %q, want offset %#x", what, errs, offset)
	}
}

// TestFramesTruncated cuts a stream at every byte.
func TestFramesTruncated(t *testing.T) {
	stream := framesRequests()
	starts := []int{0, 0x20, 0x39, 0x47, 0x5f, len(stream)}
	for n := range stream {
		if i, ok := slices.BinarySearch(starts, n); !ok {
			wantDamage(t, fmt.Sprintf("%d bytes", n), stream[:n], starts[i-1], framesRequestLines[:i-1])
		} else if i > 0 {
			wantFrames(t, stream[:n], framesRequestLines[:i]...)
		}
	}
}

func TestFramesDamaged(t *testing.T) {
	damage := func(at int, bytes string) []byte {
		b := framesRequests()
		copy(b[at:], bytes)
		return b
	}
	wantDamage(t, "version", damage(4, "\x02\x02"), 0, nil)
	wantDamage(t, "channel", damage(6, "x"), 0, nil)
	wantDamage(t, "magic", damage(0, "S"), 0, nil) // as a frame it is too long
	wantDamage(t, "length", damage(0x47, "\xff"), 0x47, framesRequestLines[:3])
	wantDamage(t, "string", damage(0x5f+8, "\xff"), 0x5f, framesRequestLines[:4])
	wantDamage(t, "short string", damage(0x5f+8+3, "\x04"), 0x5f, framesRequestLines[:4])
	if code, out, _ := runFrames(damage(0x39+4, "\xee")); code != 0 || !strings.Contains(out, "00000039 TYPE-0xee  tag=1 len=6 (not known)\n00000047 TRAILER") {
		t.Errorf("an unknown type: exit %d\n%s", code, out)
	}
	wantDamage(t, "text", []byte("GET / HTTP/1.1\r\n\r\n"), 0, nil)
}

func TestFramesArguments(t *testing.T) {
	path := filepath.Join(t.TempDir(), "capture.bin")
	if err := os.WriteFile(path, framesRequests(), 0o600); err != nil {
		t.Fatal(err)
	}
	want := strings.Join(framesRequestLines, "\n") + "\n"
	if code, out, errs := runFrames(nil, path); code != 0 || out != want {
		t.Errorf("FILE: exit %d, %s\n%s", code, errs, out)
	}
	if code, out, errs := runFrames(framesRequests(), "-"); code != 0 || out != want {
		t.Errorf("-: exit %d, %s\n%s", code, errs, out)
	}
	if code, _, errs := runFrames(nil, path+".none"); code != 1 || !strings.Contains(errs, "no such file") {
		t.Errorf("no file: exit %d, %q", code, errs)
	}
	if code, _, errs := runFrames(nil, path, path); code != 2 || !strings.Contains(errs, "s4 frames --help") {
		t.Errorf("two files: exit %d, %q", code, errs)
	}
}

// FuzzFrames: whatever was captured, s4 frames prints lines and does not
// panic.
func FuzzFrames(f *testing.F) {
	f.Add(framesRequests())
	f.Add(framesRequests()[wire.PreambleSize:])
	f.Add(wire.AppendRefusal(nil, wire.CodeVersion, "no"))
	for n := range 256 {
		if m := wire.New(wire.Type(n)); m != nil {
			f.Add(wire.AppendFrame(nil, 1, 1, m))
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		var out bytes.Buffer
		code := cli.Main(context.Background(), []string{"frames"}, bytes.NewReader(stream), &out, io.Discard)
		if code != 0 && code != 1 {
			t.Errorf("exit %d", code)
		}
		for line := range strings.Lines(out.String()) {
			if !strings.HasSuffix(line, "\n") || len(line) < len("00000000 OK") {
				t.Errorf("line %q", line)
			}
		}
	})
}

// TestFramesNextStream checks that what ends a stream without a trailer does
// not leak into the verdict on the next.
func TestFramesNextStream(t *testing.T) {
	for _, end := range []wire.Message{&wire.Exit{}, wire.Empty{T: wire.TypeAbort}, wire.Errorf(wire.CodeCanceled, "x")} {
		b := rawFrame(nil, wire.TypeData, 0, "hello\n")
		b = wire.AppendFrame(b, 1, 0, end)
		b = rawFrame(b, wire.TypeData, 0, "hello\n")
		b = wire.AppendFrame(b, 2, 0, &wire.Trailer{Length: 6, Sum: framesSum})
		_, out, _ := runFrames(b)
		if last := out[strings.LastIndexByte(strings.TrimSuffix(out, "\n"), '\n')+1:]; !strings.Contains(last, "(matches)") {
			t.Errorf("%s:\n%s", end.Type(), out)
		}
	}
}
