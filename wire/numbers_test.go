package wire

import (
	"fmt"
	"testing"
)

// Everything in this file is on the wire or in PROTOCOL.md. A test that fails
// here says that old and new programs will misunderstand each other: numbers
// may be added, never changed.

var pinnedTypes = []struct {
	t    Type
	n    byte
	name string
	max  uint32
}{
	{TypeError, 0x01, "ERROR", 262144},
	{TypeOK, 0x02, "OK", 262144},
	{TypePing, 0x03, "PING", 262144},
	{TypeFlush, 0x04, "FLUSH", 262144},
	{TypePut, 0x10, "PUT", 262144},
	{TypeGet, 0x11, "GET", 262144},
	{TypePush, 0x12, "PUSH", 262144},
	{TypeEval, 0x13, "EVAL", 262144},
	{TypeObject, 0x14, "OBJECT", 262144},
	{TypeData, 0x15, "DATA", 16777216},
	{TypeTrailer, 0x16, "TRAILER", 262144},
	{TypeAbort, 0x17, "ABORT", 262144},
	{TypeStderr, 0x18, "STDERR", 16777216},
	{TypeExit, 0x19, "EXIT", 262144},
	{TypeAsset, 0x1a, "ASSET", 262144},
	{TypeList, 0x20, "LIST", 262144},
	{TypeEntries, 0x21, "ENTRIES", 262144},
	{TypeEnd, 0x22, "END", 262144},
	{TypeRemove, 0x23, "REMOVE", 262144},
	{TypeRemoved, 0x24, "REMOVED", 262144},
	{TypeStat, 0x25, "STAT", 262144},
	{TypeHealth, 0x26, "HEALTH", 262144},
	{TypeHealthInfo, 0x27, "HEALTHINFO", 262144},
	{TypeCount, 0x28, "COUNT", 262144},
	{TypeCounts, 0x29, "COUNTS", 262144},
	{TypeVerify, 0x2a, "VERIFY", 262144},
	{TypeDamaged, 0x2b, "DAMAGED", 262144},
	{TypeVerified, 0x2c, "VERIFIED", 262144},
	{TypeJob, 0x30, "JOB", 262144},
	{TypeReady, 0x31, "READY", 262144},
	{TypeStart, 0x32, "START", 262144},
	{TypeProgress, 0x33, "PROGRESS", 262144},
	{TypeDone, 0x34, "DONE", 262144},
	{TypePrepare, 0x35, "PREPARE", 262144},
	{TypePrepared, 0x36, "PREPARED", 262144},
	{TypeCommit, 0x37, "COMMIT", 262144},
	{TypeCommitted, 0x38, "COMMITTED", 262144},
	{TypeDiscard, 0x39, "DISCARD", 262144},
	{TypeTasks, 0x3a, "TASKS", 262144},
	{TypeSettle, 0x3b, "SETTLE", 262144},
	{TypeSettled, 0x3c, "SETTLED", 262144},
	{TypeJobs, 0x3d, "JOBS", 262144},
	{TypeJobInfo, 0x3e, "JOBINFO", 262144},
	{TypeJobTasks, 0x3f, "JOBTASKS", 262144},
	{TypeCancel, 0x40, "CANCEL", 262144},
	{TypeSuspend, 0x41, "SUSPEND", 262144},
	{TypeAttach, 0x42, "ATTACH", 262144},
	{TypeAttached, 0x43, "ATTACHED", 262144},
	{TypeReset, 0x44, "RESET", 262144},
	{TypeInputs, 0x45, "INPUTS", 262144},
	{TypeSecrets, 0x46, "SECRETS", 262144},
	{TypeAskSecrets, 0x47, "ASKSECRETS", 262144},
}

func TestTypesPinned(t *testing.T) {
	pinned := make(map[Type]bool)
	for _, p := range pinnedTypes {
		if byte(p.t) != p.n || p.t.String() != p.name || p.t.limit() != p.max {
			t.Errorf("type %s is %#02x with bodies up to %d, pinned as %s, %#02x, %d", p.t, byte(p.t), p.t.limit(), p.name, p.n, p.max)
		}
		pinned[p.t] = true
	}
	for n := range 256 {
		if typ := Type(n); typ.known() != pinned[typ] {
			t.Errorf("type %s: known is %v, pinned is %v", typ, typ.known(), pinned[typ])
		}
	}
	if got := Type(0x99).String(); got != "TYPE-0x99" {
		t.Errorf("an unknown type is called %s", got)
	}
}

// Every type but the two of raw bytes has a message, and it knows its type.
func TestTypesHaveMessages(t *testing.T) {
	for n := range 256 {
		typ := Type(n)
		m := New(typ)
		want := typ.known() && typ != TypeData && typ != TypeStderr
		if (m != nil) != want {
			t.Errorf("New(%s) = %v", typ, m)
		}
		if m != nil && m.Type() != typ {
			t.Errorf("New(%s) has type %s", typ, m.Type())
		}
	}
}

var pinnedCodes = []struct {
	c    Code
	n    uint16
	name string
}{
	{CodeInternal, 1, "internal"},
	{CodeBadRequest, 2, "bad-request"},
	{CodeBadKey, 3, "bad-key"},
	{CodeExists, 4, "exists"},
	{CodeNotFound, 5, "not-found"},
	{CodeConflict, 6, "conflict"},
	{CodeWrongCluster, 7, "wrong-cluster"},
	{CodeVersion, 8, "wrong-version"},
	{CodeWrongServer, 9, "wrong-server"},
	{CodeChecksum, 10, "checksum"},
	{CodeNoSpace, 11, "no-space"},
	{CodeTooLarge, 12, "too-large"},
	{CodeTaskFailed, 13, "task-failed"},
	{CodeCanceled, 14, "canceled"},
	{CodeTimeout, 15, "timeout"},
	{CodeShuttingDown, 16, "shutting-down"},
	{CodeStorage, 17, "storage"},
	{CodeNoJob, 18, "no-such-job"},
	{CodeUnavailable, 19, "unavailable"},
	{CodeUnsupported, 20, "unsupported"},
	{CodeUnauthenticated, 21, "unauthenticated"},
}

func TestCodesPinned(t *testing.T) {
	names := make(map[string]bool)
	for _, p := range pinnedCodes {
		if uint16(p.c) != p.n || p.c.String() != p.name {
			t.Errorf("code %s is %d, pinned as %s, %d", p.c, uint16(p.c), p.name, p.n)
		}
		if codeByName(p.name) != p.c {
			t.Errorf("the name %s gives code %d", p.name, codeByName(p.name))
		}
		names[p.name] = true
	}
	for n := range 1 << 16 {
		c := Code(n)
		if named := c.String() != fmt.Sprintf("code-%d", n); named != names[c.String()] {
			t.Errorf("code %d is called %s, which is not pinned", n, c)
		}
	}
	for _, name := range []string{"", "code-77", "Exists", "exists "} {
		if c := codeByName(name); c != CodeInternal {
			t.Errorf("the name %q gives code %s", name, c)
		}
	}
}

func TestConstantsPinned(t *testing.T) {
	for _, p := range []struct {
		name      string
		got, want uint64
	}{
		{"Version", Version, 1},
		{"PreambleSize", PreambleSize, 32},
		{"MaxRefusal", MaxRefusal, 1024},
		{"AnyServer", AnyServer, 0xffffffff},
		{"AuthNone", AuthNone, 0},
		{"AuthSecret", AuthSecret, 1},
		{"NonceSize", NonceSize, 32},
		{"ProofSize", ProofSize, 32},
		{"ClientExtra", ClientExtra, 32},
		{"ServerExtra", ServerExtra, 64},
		{"MinSecret", MinSecret, 16},
		{"MaxSecret", MaxSecret, 1024},
		{"FeatureRange", uint64(FeatureRange), 1},
		{"FeatureFlush", uint64(FeatureFlush), 2},
		{"AllFeatures", uint64(AllFeatures), 3},
		{"ChannelData", uint64(ChannelData), 'd'},
		{"ChannelControl", uint64(ChannelControl), 'c'},
		{"HeaderSize", HeaderSize, 8},
		{"FlagLZ4", FlagLZ4, 1},
		{"FlagPackAll", FlagPackAll, 2},
		{"FlagStream", FlagStream, 2},
		{"FlagNoVerify", FlagNoVerify, 1},
		{"FlagBash", FlagBash, 2},
		{"RunnerBash", uint64(RunnerBash), 1},
		{"RunnerExec", uint64(RunnerExec), 2},
		{"FlagRecursive", FlagRecursive, 1},
		{"FlagChecksums", FlagChecksums, 2},
		{"FlagPath", FlagPath, 1},
		{"FlagChecked", FlagChecked, 0x80},
		{"SizeUnknown", SizeUnknown, 0xffffffffffffffff},
		{"MaxMessage", MaxMessage, 262144},
		{"MaxData", MaxData, 16777216},
		{"MaxPacked", MaxPacked, 262144},
		{"MaxKey", MaxKey, 1024},
		{"MaxPath", MaxPath, 4096},
		{"MaxCommand", MaxCommand, 131071},
		{"MaxName", MaxName, 255},
		{"MaxOKExit", MaxOKExit, 255},
		{"MaxErrorText", MaxErrorText, 32768},
		{"MaxRecord", MaxRecord, 65536},
		{"MaxSecrets", MaxSecrets, 65536},
		{"MaxRules", MaxRules, 16384},
		{"MaxIndirs", MaxIndirs, 32},
		{"SaltSize", SaltSize, 32},
		{"SealExtra", SealExtra, 16},
		{"MaxEntries", MaxEntries, 65536},
		{"MaxCount", MaxCount, 4096},
		{"EntryKey", uint64(EntryKey), 1},
		{"EntryDir", uint64(EntryDir), 2},
		{"EntryBucket", uint64(EntryBucket), 3},
		{"VerbMap", uint64(VerbMap), 1},
		{"VerbMapToN", uint64(VerbMapToN), 2},
		{"VerbMapFromN", uint64(VerbMapFromN), 3},
		{"JobKeepGoing", uint64(JobKeepGoing), 1},
		{"JobResume", uint64(JobResume), 2},
		{"JobReport", uint64(JobReport), 4},
		{"JobLZ4", uint64(JobLZ4), 8},
		{"JobPackAll", uint64(JobPackAll), 32},
		{"JobDetach", uint64(JobDetach), 16},
		{"JobNoVerify", uint64(JobNoVerify), 64},
		{"JobKeep", uint64(JobKeep), 128},
		{"JobDriven", uint64(JobDriven), 256},
		{"JobBash", uint64(JobBash), 512},
		{"JobManifest", uint64(JobManifest), 1024},
		{"JobSecrets", uint64(JobSecrets), 2048},
		{"JobKeys", uint64(JobKeys), 4096},
		{"JobNoGlob", uint64(JobNoGlob), 8192},
		{"all options", uint64(jobOptions), 0x3fff},
		{"VerdictDiscarded", uint64(VerdictDiscarded), 1},
		{"VerdictCommitted", uint64(VerdictCommitted), 2},
		{"VerdictPrepared", uint64(VerdictPrepared), 3},
		{"VerdictOrphaned", uint64(VerdictOrphaned), 4},
		{"JobRunning", uint64(JobRunning), 1},
		{"JobPrepared", uint64(JobPrepared), 2},
		{"JobOrphaned", uint64(JobOrphaned), 3},
		{"JobCommitted", uint64(JobCommitted), 4},
		{"JobFailed", uint64(JobFailed), 5},
		{"JobCanceled", uint64(JobCanceled), 6},
		{"JobSuspended", uint64(JobSuspended), 7},
		{"JobWaiting", uint64(JobWaiting), 8},
		{"PhaseReady", uint64(PhaseReady), 1},
		{"PhaseHalted", uint64(PhaseHalted), 2},
		{"PhaseRunning", uint64(PhaseRunning), 3},
		{"PhaseDone", uint64(PhaseDone), 4},
		{"PhasePrepared", uint64(PhasePrepared), 5},
		{"PhaseCommitted", uint64(PhaseCommitted), 6},
		{"TaskDone", uint64(TaskDone), 1},
		{"TaskFailed", uint64(TaskFailed), 2},
		{"TaskRetried", uint64(TaskRetried), 3},
		{"TaskRunning", uint64(TaskRunning), 4},
		{"TaskStopped", uint64(TaskStopped), 5},
	} {
		if p.got != p.want {
			t.Errorf("%s is %d, pinned as %d", p.name, p.got, p.want)
		}
	}
	for _, p := range []struct{ got, want string }{
		{Magic, "s4wp"},
		{RefusalPrefix, "s4-error "},
		{ChannelData.String(), "data"},
		{ChannelControl.String(), "control"},
		{Channel(7).String(), "channel(7)"},
		{VerbMap.String(), "map"},
		{VerbMapToN.String(), "map-to-n"},
		{VerbMapFromN.String(), "map-from-n"},
		{Verb(9).String(), "verb(9)"},
	} {
		if p.got != p.want {
			t.Errorf("%q, pinned as %q", p.got, p.want)
		}
	}
	if RefusalPrefix[:len(Magic)] == Magic {
		t.Error("a client cannot tell a refusal from a preamble by its first bytes")
	}
}
