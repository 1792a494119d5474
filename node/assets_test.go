package node_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// asset sends a file for a job as a client does and returns the server's
// answer: nil for OK.
func asset(t testing.TB, cluster *s4.Cluster, server int, m *wire.Asset, data []byte, sum uint64) error {
	t.Helper()
	conn, err := dialServer(guarded(t), cluster, server, wire.ChannelData)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, _, err := conn.SendStream(1, m, 0, xfer.Source{R: bytes.NewReader(data), Size: int64(len(data)), Sum: &sum}, nil); err != nil {
		t.Fatal(err)
	}
	answer, err := conn.ReadReply(1)
	if err == nil && answer.Type() != wire.TypeOK {
		t.Errorf("%s is no answer", answer.Type())
	}
	return err
}

// asProgram is a script that says its name and what it was called with.
const asProgram = "#!/bin/sh\necho \"${0##*/} got $*\"\n"

// Files go along with a job to all servers, whole, and are gone afterwards.
func TestAssets(t *testing.T) {
	c, client := start(t, node.Config{})
	keys := threeIn(t, client)
	dir := t.TempDir()
	big := noise("big", 5<<20)
	for name, f := range map[string]struct {
		text string
		mode os.FileMode
	}{
		"big":   {string(big), 0o644},
		"empty": {"", 0o600},
		"prog":  {asProgram, 0o755},
		"other": {asProgram, 0o644}, // made a program by the option
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(f.text), f.mode); err != nil {
			t.Fatal(err)
		}
	}
	opts := &s4.JobOptions{Files: []s4.JobFile{
		{Path: filepath.Join(dir, "big")}, {Path: filepath.Join(dir, "empty")}, {Path: filepath.Join(dir, "prog")}, {Path: filepath.Join(dir, "other"), Exec: true},
	}}
	const cmd = `cd "$S4_ASSETS"; md5sum < big; wc -c < empty; prog 1; other 2; stat -c '%n %a' * . | tr '\n' ' '; [ -x big ] || echo plain`
	sum := func(b []byte) string { return fmt.Sprintf("%016x", xxhash.Sum64(b)) }
	for _, detached := range []bool{false, true} {
		outdir := fmt.Sprintf("b/out-%v", detached)
		opts.Detach = detached
		res, err := client.Map(guarded(t), "s4://b/in", "s4://"+outdir, cmd+"; cat big > copy 2> /dev/null || true; cat big >&2", opts)
		if err != nil {
			t.Fatal(err)
		}
		if detached {
			if s := waitJob(t, client, res.ID); s.State != s4.JobDone {
				t.Fatalf("%+v", s)
			}
		}
		first := ""
		for i, k := range outOf(threeKeys, outdir) {
			got := get(t, client, k)
			if first == "" {
				first = got
			}
			if got != first || !strings.Contains(got, "\n0\nprog got 1\nother got 2\nbig 444 empty 444 other 555 prog 555 . 555") {
				t.Errorf("server %d: %q", i, got)
			}
			keys = append(keys, k)
		}
		clean(t, dataDirs(c), keys...)
	}
	// To the last byte, on every server.
	opts.Detach = false
	for i := range 3 {
		outdir := fmt.Sprintf("b/copy%d", i)
		if _, err := client.Map(guarded(t), fmt.Sprintf("s4://b/in/%d*", i), "s4://"+outdir, "cat $S4_ASSETS/big", opts); err != nil {
			t.Fatal(err)
		}
		if got := get(t, client, fmt.Sprintf("%s/%d_k", outdir, i)); sum([]byte(got)) != sum(big) {
			t.Errorf("server %d has another file, of %d bytes", i, len(got))
		}
		keys = append(keys, fmt.Sprintf("%s/%d_k", outdir, i))
	}
	clean(t, dataDirs(c), keys...)
	// Nor is anything left of a job that fails, or is refused.
	if _, err := client.Map(guarded(t), "s4://b/in", "s4://b/none", "prog; exit 1", opts); !errors.Is(err, s4.ErrTaskFailed) {
		t.Errorf("%v", err)
	}
	if _, err := client.Map(guarded(t), "s4://b/none", "s4://b/none", "cat", opts); !errors.Is(err, s4.ErrNotFound) {
		t.Errorf("%v", err)
	}
	clean(t, dataDirs(c), keys...)
	// Without files there is no directory, and nothing on PATH.
	if _, err := client.Map(guarded(t), "s4://b/in", "s4://b/no-files", `[ -z "$S4_ASSETS" ]; ! command -v prog`, nil); err != nil {
		t.Error(err)
	}
}

// What a client refuses to send.
func TestBadAssets(t *testing.T) {
	c, client := start(t, node.Config{})
	keys := threeIn(t, client)
	dir := t.TempDir()
	for _, d := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
		touch(t, filepath.Join(dir, d, "same"))
	}
	touch(t, filepath.Join(dir, "a b"))
	for name, files := range map[string][]s4.JobFile{
		"the same name": {{Path: filepath.Join(dir, "a/same")}, {Path: filepath.Join(dir, "b/same")}},
		"a bad name":    {{Path: filepath.Join(dir, "a b")}},
		"a directory":   {{Path: filepath.Join(dir, "a")}},
		"no file":       {{Path: filepath.Join(dir, "missing")}},
	} {
		for _, detached := range []bool{false, true} {
			var e *s4.Error
			_, err := client.Map(guarded(t), "s4://b/in", "s4://b/out", "cat", &s4.JobOptions{Files: files, Detach: detached})
			if !errors.As(err, &e) || e.Op != "map" || e.Server != "" {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	clean(t, dataDirs(c), keys...)
}

// What a server refuses, frame by frame.
func TestAssetRefusals(t *testing.T) {
	c, client := start(t, node.Config{})
	keys := threeIn(t, client)
	good := []byte("some bytes")
	sum := xxhash.Sum64(good)
	code := func(err error) wire.Code {
		var we *wire.Error
		errors.As(err, &we)
		if we == nil {
			return 0
		}
		return we.Code
	}
	job := &rawJob{t: t, id: rawIDs.Add(1)<<32 + 1}
	send := func(name string, data []byte, sum uint64) error {
		return asset(t, c.Cluster, 0, &wire.Asset{Size: uint64(len(data)), Job: job.id, Name: name}, data, sum)
	}
	if err := send("f", good, sum); code(err) != wire.CodeNoJob {
		t.Errorf("before JOB: %v", err)
	}
	conn, err := dialServer(guarded(t), c.Cluster, 0, wire.ChannelControl)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	job.conns = []*xfer.Conn{conn}
	job.ask(0, &wire.Job{ID: job.id, Verb: wire.VerbMap, Indir: "b/in", Outdir: "b/out", Command: "cat $S4_ASSETS/f"}, wire.TypeReady)
	if err := send("f", good, sum); err != nil {
		t.Error(err)
	}
	if err := send("f", good, sum); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if err := send("f", []byte("other bytes"), xxhash.Sum64String("other bytes")); code(err) != wire.CodeExists {
		t.Errorf("the same name with other bytes: %v", err)
	}
	if err := send("g", good, sum+1); code(err) != wire.CodeChecksum {
		t.Errorf("a wrong checksum: %v", err)
	}
	for _, name := range []string{"", ".", "..", "a/b", "/f", "../f", "a b", "a\x00b", "\xff", strings.Repeat("x", 254) + "/", "a\nb"} {
		if err := send(name, good, sum); code(err) != wire.CodeBadKey {
			t.Errorf("%q: %v", name, err)
		}
	}
	staged := filepath.Join(c.Data(0), "_s4/jobs", jobText(job.id), "assets")
	if list := localFiles(t, staged); len(list) != 1 {
		t.Errorf("on disk: %q", list)
	}
	job.ask(0, wire.Empty{T: wire.TypeStart}, wire.TypeDone)
	if err := send("h", good, sum); code(err) != wire.CodeBadRequest {
		t.Errorf("after START: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(c.Data(0), "_s4/jobs", jobText(job.id), "stage/b/out/0_k")); err != nil || !bytes.Equal(b, good) {
		t.Errorf("the task read %q, %v", b, err)
	}
	job.ask(0, &wire.Discard{}, wire.TypeOK)
	if err := send("i", good, sum); code(err) != wire.CodeNoJob {
		t.Errorf("after the end: %v", err)
	}
	clean(t, dataDirs(c), keys...)
}

// A file that is damaged on its way, or whose server is lost, fails the job.
func TestAssetDamagedOnItsWay(t *testing.T) {
	c := nodetest.StartProxied(t, 3, node.Config{MaxCPUJobs: 4})
	client := c.Client(t, nil)
	keys := threeIn(t, client)
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, noise("f", 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	client.Close()
	for want, fault := range map[error]nodetest.Fault{
		s4.ErrChecksum:    {Action: nodetest.Flip, Dir: nodetest.ToServer, At: 500_000, Channel: 'd'},
		s4.ErrUnavailable: {Action: nodetest.Cut, Dir: nodetest.ToServer, At: 500_000, Channel: 'd'},
	} {
		client := s4.NewClient(c.Cluster, nil)
		c.Proxies[1].Set(fault)
		_, err := client.Map(guarded(t), "s4://b/in", "s4://b/out", "cat $S4_ASSETS/f", &s4.JobOptions{Files: []s4.JobFile{{Path: file}}})
		var e *s4.Error
		if !errors.Is(err, want) || !errors.As(err, &e) || e.Server != c.Cluster.Servers[1].String() {
			t.Errorf("%v, want %v", err, want)
		}
		if c.Proxies[1].Hits() == 0 {
			t.Error("the fault has not struck")
		}
		c.Proxies[1].Heal()
		client.Close()
		clean(t, []string{c.Data(0), c.Data(1), c.Data(2)}, keys...)
	}
}
