package scripts_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nathants/s4/node/nodetest"
)

// pyCluster is a cluster of three servers, and both clients of it.
type pyCluster struct {
	dir string // of the data, and of s4.conf
	env []string
}

// newPyCluster starts an embedded cluster with the shortest I/O timeout there is.
func newPyCluster(t *testing.T) *pyCluster {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skipf("s4client.py needs python3: %v", err)
	}
	c := &pyCluster{dir: t.TempDir()}
	secret := filepath.Join(c.dir, "secret") // so that all runs with one
	c.env = []string{"S4_CONF_PATH=" + filepath.Join(c.dir, "s4.conf"), "S4_SECRET_FILE=" + secret, "PYTHONDONTWRITEBYTECODE=1"}
	c.s4(t, "secret", secret).want(t, 0)
	server := exec.Command(filepath.Join(bin, "s4-server"), "--nodes", "3", "--dir", c.dir, "--io-timeout", "3s", "--secret-file", secret)
	var log bytes.Buffer // read once Wait has returned
	server.Stdout, server.Stderr = &log, &log
	server.WaitDelay = patience
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		if err := server.Wait(); err != nil {
			t.Errorf("s4-server: %v\n%s", err, log.String())
		}
	})
	eventually(t, "cluster is healthy", func() bool { return c.s4(t, "health").code == 0 })
	return c
}

func (c *pyCluster) s4(t *testing.T, args ...string) result {
	t.Helper()
	return run(t, c.env, filepath.Join(bin, "s4"), args...)
}

func (c *pyCluster) py(t *testing.T, args ...string) result {
	t.Helper()
	return run(t, c.env, script("s4client.py"), args...)
}

// fails fails the test unless r ended with 1, printed nothing, and its first
// line on stderr is line.
func (r result) fails(t *testing.T, line string) {
	t.Helper()
	r.want(t, 1)
	if first, _, _ := strings.Cut(r.errOut, "\n"); r.out != "" || !strings.HasPrefix(first, "s4client.py: "+line) {
		t.Fatalf("want %q, got stdout %q, stderr %q", line, r.out, r.errOut)
	}
}

// onlyLine is fails for an error that has one line.
func (r result) onlyLine(t *testing.T, line string) {
	t.Helper()
	r.fails(t, line)
	if strings.Count(r.errOut, "\n") != 1 {
		t.Fatalf("want one line, got %q", r.errOut)
	}
}

// value is n random bytes, the same in every run.
func value(n int) []byte {
	data := make([]byte, n)
	rand.New(rand.NewSource(int64(n))).Read(data)
	return data
}

// file writes data into a file and returns its path.
func file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// seed puts 12 small keys, in a directory and on all servers, with s4.
func (c *pyCluster) seed(t *testing.T, prefix string) {
	t.Helper()
	dir := t.TempDir()
	for i := range 12 {
		path := filepath.Join(dir, fmt.Sprintf("d%d", i%2), fmt.Sprintf("%03d", i))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(fmt.Sprintf("line %d\n", i)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c.s4(t, "cp", "-r", dir+"/", prefix).want(t, 0)
}

func TestPythonClient(t *testing.T) {
	t.Parallel()
	c := newPyCluster(t)
	c.seed(t, "s4://seed/in/")
	t.Run("objects", c.testObjects)
	t.Run("checksums", c.testChecksums)
	t.Run("ls", c.testList)
	t.Run("rm", c.testRemove)
	t.Run("eval", c.testEval)
	t.Run("map", c.testMap)
	t.Run("failing map", c.testFailingMap)
	t.Run("shuffle", c.testShuffle)
	t.Run("failing shuffle", c.testFailingShuffle)
	t.Run("canceled map", c.testCancel)
	t.Run("silence", c.testSilence)
	t.Run("reader leaves", c.testReaderLeaves)
	t.Run("damaged", c.testDamaged)
	t.Run("wrong cluster", c.testWrongCluster)
	t.Run("secret", c.testSecret)
	t.Run("usage", c.testUsage)
	c.s4(t, "health").want(t, 0)
}

func (c *pyCluster) testObjects(t *testing.T) {
	for name, size := range map[string]int{"empty": 0, "001": 1, "002_x": 70_000, "big": 600_000, "ünï": 5} {
		key, data := "s4://objects/put/"+name, value(size)
		c.py(t, "put", file(t, "in", data), key).want(t, 0)
		out := filepath.Join(t.TempDir(), "out")
		c.s4(t, "cp", key, out).want(t, 0)
		if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s, put by s4client.py, has %d bytes for s4, want %d: %v", key, len(got), size, err)
		}

		key = "s4://objects/cp/" + name
		c.s4(t, "cp", file(t, "in", data), key).want(t, 0)
		out = filepath.Join(t.TempDir(), "out")
		c.py(t, "get", key, out).want(t, 0)
		if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s, put by s4, has %d bytes for s4client.py, want %d: %v", key, len(got), size, err)
		}
		if r := c.py(t, "get", key, "-").want(t, 0); r.out != string(data) {
			t.Errorf("%s: get to - has %d bytes, want %d", key, len(r.out), size)
		}
		c.py(t, "put", file(t, "in", data), key).onlyLine(t, "put "+key+": the key exists on 127.0.0.1:")
	}

	out := filepath.Join(t.TempDir(), "out")
	c.py(t, "get", "s4://objects/none", out).onlyLine(t, "get s4://objects/none: no such key on 127.0.0.1:")
	if left, _ := filepath.Glob(out + "*"); left != nil {
		t.Errorf("a get that failed left %q", left)
	}
	c.py(t, "put", filepath.Join(t.TempDir(), "none"), "s4://objects/x").onlyLine(t, "put s4://objects/x: [Errno 2]")
	for _, key := range []string{"objects/x", "s4://objects", "s4://objects/", "s4://objects//x", "s4://objects/../x",
		"s4://_s4/x", "s4://objects/a b", "s4://objects/a\x01", "s4://objects/\xff", "s4://objects/" + strings.Repeat("x", 256)} {
		c.py(t, "get", key, "-").onlyLine(t, "get ")
	}
}

// testChecksums has the server compare the checksums that the module computes
// itself, also where xxhash is installed.
func (c *pyCluster) testChecksums(t *testing.T) {
	program := `
import io, os, sys
sys.path.insert(0, sys.argv[1])
import s4client
s4client.xxh64 = s4client.PythonXXH64
client = s4client.Client(os.environ["S4_CONF_PATH"], os.environ["S4_SECRET_FILE"])
for n in range(100):
    data = bytes(i * 37 % 251 for i in range(n))
    client.put(f"s4://sums/name-{n}-{'x' * n}", data)
    out = io.BytesIO()
    client.get(f"s4://sums/name-{n}-{'x' * n}", out)
    assert out.getvalue() == data, n
split = s4client.PythonXXH64()
for piece in (b"", b"a" * 31, b"b" * 2, b"c" * 64, b"d"):
    split.update(piece)
whole = s4client.PythonXXH64(b"a" * 31 + b"b" * 2 + b"c" * 64 + b"d")
assert split.intdigest() == whole.intdigest()
try:
    client.put("s4://sums/name-0-", b"")
except s4client.S4Error as err:
    print(err.code)
`
	if r := run(t, c.env, "python3", "-c", program, filepath.Join(root, "scripts")).want(t, 0); r.out != "exists\n" {
		t.Errorf("want exists, got %q", r.out)
	}
	if r := c.s4(t, "ls", "-r", "s4://sums/").want(t, 0); strings.Count(r.out, "\n") != 100 {
		t.Errorf("want 100 keys, have\n%s", r.out)
	}
}

func (c *pyCluster) testList(t *testing.T) {
	for _, args := range [][]string{{"s4://"}, {"s4://seed"}, {"s4://seed/"}, {"s4://seed/in/"}, {"s4://seed/in/d1"},
		{"s4://seed/in/d1/"}, {"-r", "s4://seed"}, {"-r", "s4://seed/in/d0/00"}} {
		want := ""
		said := c.s4(t, append([]string{"ls", "--json"}, args...)...).want(t, 0)
		for _, line := range strings.Split(strings.TrimSpace(said.out), "\n") {
			var entry struct {
				Key, Prefix string // of a key; of a directory or a bucket
				Size        int64
				Dir, Bucket bool
			}
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			size := fmt.Sprint(entry.Size)
			switch {
			case entry.Dir:
				size = "dir"
			case entry.Key == "":
				size = "bucket"
			}
			want += fmt.Sprintf("%12s %s\n", size, entry.Key+entry.Prefix)
		}
		if r := c.py(t, append([]string{"ls"}, args...)...).want(t, 0); r.out != want {
			t.Errorf("ls %q: s4 has\n%ss4client.py has\n%s", args, want, r.out)
		}
	}
	c.py(t, "ls", "s4://seed/none").onlyLine(t, "ls s4://seed/none: no key matches")
	c.py(t, "ls", "seed").onlyLine(t, "ls seed: does not start with s4://")
}

func (c *pyCluster) testRemove(t *testing.T) {
	c.seed(t, "s4://remove/in/")
	c.py(t, "rm", "s4://remove/in/d1/001").want(t, 0)
	c.s4(t, "cp", "s4://remove/in/d1/001", "-").want(t, 1, "no such key")
	c.py(t, "rm", "s4://remove/in/d1/001").onlyLine(t, "rm s4://remove/in/d1/001: no such key on 127.0.0.1:")
	c.py(t, "rm", "-r", "s4://remove/in/d1/").want(t, 0)
	c.s4(t, "ls", "s4://remove/in/d1/").want(t, 1, "no key matches")
	if r := c.s4(t, "ls", "-r", "s4://remove/").want(t, 0); strings.Count(r.out, "\n") != 6 {
		t.Errorf("want the 6 keys of d0, have\n%s", r.out)
	}
	c.py(t, "rm", "-r", "s4://remove/in/d1/").onlyLine(t, "rm s4://remove/in/d1/: no key matches")
}

func (c *pyCluster) testEval(t *testing.T) {
	for _, args := range [][]string{
		{"s4://seed/in/d1/003", "tr a-z A-Z"},
		{"s4://seed/in/d1/003", "cat; echo oh >&2; exit 7"},
		{"s4://seed/in/d1/003", "kill -9 $$"},
		{"s4://seed/in/d1/003", "head -c 1000000 /dev/zero | tr '\\0' x"},
	} {
		args = append([]string{"eval"}, args...)
		want, got := c.s4(t, args...), c.py(t, args...)
		if got != want {
			t.Errorf("%q: s4 has code %d, stdout %.99q, stderr %q\ns4client.py has %d, %.99q, %q",
				args, want.code, want.out, want.errOut, got.code, got.out, got.errOut)
		}
	}
	c.py(t, "eval", "s4://seed/in/none", "cat").onlyLine(t, "eval s4://seed/in/none: no such key on 127.0.0.1:")
}

func (c *pyCluster) testMap(t *testing.T) {
	c.s4(t, "map", "s4://seed/in/", "s4://map/s4/", "tr a-z A-Z").want(t, 0)
	c.py(t, "map", "s4://seed/in/", "s4://map/py/", "tr a-z A-Z").want(t, 0, "12 tasks, ")
	got := c.same(t, "s4://map/s4/", "s4://map/py/")
	if data, err := os.ReadFile(filepath.Join(got, "d1/011")); err != nil || string(data) != "LINE 11\n" {
		t.Errorf("d1/011: %q, %v", data, err)
	}
	c.py(t, "map", "s4://seed/in/", "s4://map/py/", "cat").fails(t, "map s4://map/py/d")
	c.py(t, "map", "s4://seed/in/d1/*", "s4://map/glob/", "cat").want(t, 0, "6 tasks, ")
	c.py(t, "map", "s4://seed/none/", "s4://map/none/", "cat").onlyLine(t, "map s4://seed/none/: no key matches")
	c.nothingRuns(t)
}

// same fails the test unless both prefixes have keys of the same names and bytes.
// It returns a directory with those of the second.
func (c *pyCluster) same(t *testing.T, s4, py string) string {
	t.Helper()
	want, got := t.TempDir(), t.TempDir()
	c.s4(t, "cp", "-r", s4, want+"/").want(t, 0)
	c.s4(t, "cp", "-r", py, got+"/").want(t, 0)
	run(t, nil, "diff", "-r", want, got).want(t, 0)
	return got
}

// testShuffle has files of all kinds of names: with a number and a suffix that
// the group shares or does not, and without a number, in a directory.
func (c *pyCluster) testShuffle(t *testing.T) {
	split := `read -r line n
for i in 0 1 2; do printf -v f '%03d_%d' $(((n + i) % 7)) $((n % 2)); echo "$line $n $i" >$f; echo $f; done
echo $n >100_all; echo; echo 100_all
mkdir sub; : >sub/name; echo sub/name; : >unnamed`
	c.s4(t, "map-to-n", "s4://seed/in/", "s4://shuffle/s4/", split).want(t, 0)
	c.py(t, "map-to-n", "s4://seed/in/", "s4://shuffle/py/", split).want(t, 0, "12 tasks, ", " in 60 keys")
	parts := c.same(t, "s4://shuffle/s4/", "s4://shuffle/py/")
	for name, want := range map[string]string{"d1/011/006_1": "line 11 2\n", "d0/010/100_all": "10\n", "d1/003/name": ""} {
		if data, err := os.ReadFile(filepath.Join(parts, name)); err != nil || string(data) != want {
			t.Errorf("%s: %q, %v, want %q", name, data, err, want)
		}
	}

	merge := `xargs -d '\n' cat; echo $filename`
	c.s4(t, "map-from-n", "s4://shuffle/py/", "s4://merged/s4/", merge).want(t, 0)
	c.py(t, "map-from-n", "s4://shuffle/py/", "s4://merged/py/", merge).want(t, 0, "9 tasks, ", " in 9 keys")
	merged := c.same(t, "s4://merged/s4/", "s4://merged/py/")
	for name, want := range map[string]string{
		"100_all": "0\n2\n4\n6\n8\n10\n1\n3\n5\n7\n9\n11\n100_all\n", // d0 before d1
		"006":     "line 4 2\nline 6 0\nline 5 1\nline 11 2\n006\n",
		"name":    "name\n",
	} {
		if data, err := os.ReadFile(filepath.Join(merged, name)); err != nil || string(data) != want {
			t.Errorf("%s: %q, %v, want %q", name, data, err, want)
		}
	}

	c.py(t, "map-to-n", "s4://seed/in/", "s4://shuffle/py/", split).fails(t, "map-to-n s4://shuffle/py/d")
	c.py(t, "map-from-n", "s4://shuffle/py/", "s4://merged/py/", merge).fails(t, "map-from-n s4://merged/py/")
	c.py(t, "map-from-n", "s4://seed/none/", "s4://merged/none/", "cat").onlyLine(t, "map-from-n s4://seed/none/: no key matches")
	c.nothingRuns(t)
}

// testFailingShuffle prints a name twice, and two names with one basename.
func (c *pyCluster) testFailingShuffle(t *testing.T) {
	for name, cmd := range map[string]string{
		"000":     `echo x >000; echo 000; test "$filename" != 004 || echo 000`,
		"sub/000": `echo x >000; echo 000; test "$filename" != 004 || { mkdir sub; cp 000 sub/; echo sub/000; }`,
	} {
		args := []string{"map-to-n", "s4://seed/in/", "s4://twice/out/", cmd}
		want := c.s4(t, args...).want(t, 1)
		got := c.py(t, args...)
		got.onlyLine(t, fmt.Sprintf("map-to-n s4://seed/in/d0/004: the command printed %q, which has the basename of another that it printed, on 127.0.0.1:", name))
		if got.errOut != strings.Replace(want.errOut, "s4: ", "s4client.py: ", 1) {
			t.Errorf("s4 says %q, s4client.py %q", want.errOut, got.errOut)
		}
		c.s4(t, "ls", "-r", "s4://twice/").want(t, 1, "no key matches")
	}
	c.nothingRuns(t)
	if left, _ := filepath.Glob(filepath.Join(c.dir, "*/_s4/jobs/*")); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

// nothingRuns fails the test if a job of this cluster is under way.
func (c *pyCluster) nothingRuns(t *testing.T) {
	t.Helper()
	if r := c.s4(t, "jobs").want(t, 0); strings.Contains(r.out, "running") || strings.Contains(r.out, "prepared") {
		t.Errorf("a job was left behind:\n%s", r.out)
	}
}

func (c *pyCluster) testFailingMap(t *testing.T) {
	// The tasks of the other servers would not end: they must be told.
	r := c.py(t, "map", "s4://seed/in/", "s4://failed/out/",
		`if [ "$filename" = 004 ]; then printf 'no luck\nat all\n' >&2; exit 3; fi; test "$filename" != 005 || sleep 100000; cat`)
	r.fails(t, "map s4://seed/in/d0/004: command failed: exit 3 on 127.0.0.1:")
	if _, told, _ := strings.Cut(r.errOut, "\n"); told != "no luck\nat all\n" {
		t.Errorf("stderr of the command: %q", told)
	}
	c.s4(t, "ls", "-r", "s4://failed/").want(t, 1, "no key matches")
	c.nothingRuns(t)
	if left, _ := filepath.Glob(filepath.Join(c.dir, "*/_s4/jobs/*")); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

func (c *pyCluster) testCancel(t *testing.T) {
	r := run(t, append(c.env, "PATH="+bin+":"+os.Getenv("PATH")), "bash", "-c", `
		"$0" map s4://seed/in/ s4://canceled/out/ 'sleep 100000' & client=$!
		until id=$(s4 jobs | awk '$2 == "running" { print $1 }'); test -n "$id"; do kill -0 $client || break; sleep 0.1; done
		s4 jobs cancel -q "$id"
		wait $client`, script("s4client.py"))
	r.onlyLine(t, "map s4://seed/in/: canceled on request")
	c.s4(t, "ls", "-r", "s4://canceled/").want(t, 1, "no key matches")
	c.nothingRuns(t)
}

// testSilence has a put and a job that say nothing for longer than the I/O
// timeout of 3 s. Without PING the servers would drop them.
func (c *pyCluster) testSilence(t *testing.T) {
	t.Run("put", func(t *testing.T) {
		t.Parallel()
		r := run(t, c.env, "bash", "-c", `(echo slow; sleep 6; echo pipe) | "$0" put - s4://silence/put`, script("s4client.py"))
		r.want(t, 0)
		if r := c.s4(t, "cp", "s4://silence/put", "-").want(t, 0); r.out != "slow\npipe\n" {
			t.Errorf("want what was written, got %q", r.out)
		}
	})
	t.Run("map", func(t *testing.T) {
		t.Parallel()
		c.py(t, "map", "s4://seed/in/d0/00[04]", "s4://silence/out/", "sleep 6; cat").want(t, 0, "2 tasks, ")
	})
}

func (c *pyCluster) testReaderLeaves(t *testing.T) {
	c.s4(t, "cp", file(t, "in", value(3_000_000)), "s4://leaves/big").want(t, 0)
	r := run(t, c.env, "bash", "-c", `"$0" get s4://leaves/big - | true; echo "${PIPESTATUS[0]}"`, script("s4client.py"))
	if r.want(t, 0); r.out != "1\n" || r.errOut != "" {
		t.Errorf("want exit code 1 and silence, got %q and %q", r.out, r.errOut)
	}
}

func (c *pyCluster) testDamaged(t *testing.T) {
	key := "s4://damaged/big"
	c.py(t, "put", file(t, "in", value(200_000)), key).want(t, 0)
	stored, err := filepath.Glob(filepath.Join(c.dir, "*/damaged/big"))
	if err != nil || len(stored) != 1 {
		t.Fatalf("the key's file: %q, %v", stored, err)
	}
	f, err := os.OpenFile(stored[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, 100_000); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, 100_000); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	c.s4(t, "cp", key, out).want(t, 1, "the bytes that came have xxh64")
	c.py(t, "get", key, out).onlyLine(t, "get "+key+": bytes differ from their checksum on 127.0.0.1:")
	if left, _ := filepath.Glob(out + "*"); left != nil {
		t.Errorf("a get that failed left %q", left)
	}
	c.py(t, "get", key, "-").want(t, 1, "bytes differ from their checksum")
}

func (c *pyCluster) testWrongCluster(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(c.dir, "s4.conf"))
	if err != nil {
		t.Fatal(err)
	}
	other := &pyCluster{env: append([]string{}, c.env...)}
	first, _, _ := strings.Cut(string(text), "\n")
	other.env[0] = "S4_CONF_PATH=" + file(t, "s4.conf", []byte("# another\n"+first+"\n"))
	other.s4(t, "ls", "s4://seed/").want(t, 1, "cluster file")
	other.py(t, "ls", "s4://seed/").onlyLine(t, "ls s4://seed/: the client's cluster file has fingerprint ")

	// The same list in other words is the same cluster.
	same := &pyCluster{env: append([]string{}, c.env...)}
	same.env[0] = "S4_CONF_PATH=" + file(t, "s4.conf", []byte("# the same\n\n"+strings.ReplaceAll(string(text), "\n", "  # a server\n")))
	same.py(t, "ls", "s4://seed/").want(t, 0)

	none := &pyCluster{env: append([]string{}, c.env...)}
	none.env[0] = "S4_CONF_PATH=" + filepath.Join(t.TempDir(), "none")
	none.py(t, "ls", "s4://seed/").onlyLine(t, "ls s4://seed/: [Errno 2]")
	bad := file(t, "s4.conf", []byte("127.0.0.1\n"))
	none.env[0] = "S4_CONF_PATH=" + bad
	none.py(t, "ls", "s4://seed/").onlyLine(t, "ls s4://seed/: "+bad+": not host:port: 127.0.0.1")
	none.env[0] = "S4_CONF_PATH=" + file(t, "s4.conf", []byte(fmt.Sprintf("127.0.0.1:%d\n", nodetest.FreePort())))
	none.py(t, "ls", "s4://seed/").onlyLine(t, "ls s4://seed/: connection failed: Connection refused on 127.0.0.1:")
}

func (c *pyCluster) testSecret(t *testing.T) {
	other := &pyCluster{env: append([]string{}, c.env...)}
	other.env[1] = "S4_SECRET_FILE="
	other.py(t, "ls", "s4://seed/").onlyLine(t, "ls s4://seed/: server 127.0.0.1:")
	path := filepath.Join(t.TempDir(), "secret")
	c.s4(t, "secret", path).want(t, 0)
	other.env[1] = "S4_SECRET_FILE=" + path
	other.py(t, "ls", "s4://seed/").onlyLine(t, "ls s4://seed/: the server has another secret on 127.0.0.1:")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	other.py(t, "ls", "s4://seed/").onlyLine(t, "ls s4://seed/: "+path+": others can read it")
}

func (c *pyCluster) testUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"what"}, {"put", "x"}, {"get", "s4://b/k"}, {"ls"}, {"ls", "-r"},
		{"rm", "-x", "s4://b/"}, {"put", "-r", "x", "s4://b/k"}, {"map", "s4://b", "s4://c"},
		{"map-to-n", "s4://b", "s4://c"}, {"map-from-n", "s4://b", "s4://c", "cat", "x"}} {
		r := c.py(t, args...).want(t, 2, "s4client.py: usage: ")
		if r.out != "" || strings.Count(r.errOut, "\n") != 1 {
			t.Errorf("%q: stdout %q, stderr %q", args, r.out, r.errOut)
		}
	}
	c.py(t, "--help").want(t, 0, "Usage: s4client.py put FILE|- KEY")
}
