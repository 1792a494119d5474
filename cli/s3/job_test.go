package s3

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli/s3/s3test"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

// command runs s4-s3 in this process.
func command(ctx context.Context, args ...string) (code int, out string) {
	var b bytes.Buffer
	code = Main(ctx, args, strings.NewReader(""), &b, &b)
	return code, b.String()
}

// TestSendCredentials has servers without credentials use those of the client, which then
// are in no file, output or log.
func TestSendCredentials(t *testing.T) {
	s := s3test.Start(t, s3test.Fake)
	s.MakeBucket(t, "bkt")
	s.Put(t, "bkt", "in/a", []byte("alpha"))
	for _, kv := range s.Env() { // without what lets one in
		name, value, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "AWS_ACCESS_KEY") || strings.HasPrefix(name, "AWS_SECRET") {
			value = ""
		}
		t.Setenv(name, value)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "cluster.secret")
	if code, out := command(t.Context(), "secret", file); code != 0 {
		t.Fatal(out)
	}
	secret, err := s4.LoadSecret(file)
	if err != nil {
		t.Fatal(err)
	}
	c := nodetest.StartIn(t, filepath.Join(dir, "cluster"), 2, node.Config{Secret: secret, SecretFile: file})
	open := nodetest.Start(t, 1, node.Config{})
	t.Setenv("S4_CONF_PATH", c.Cluster.Path)
	t.Setenv("S4_SECRET_FILE", file)
	t.Setenv("AWS_ACCESS_KEY_ID", s.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s.SecretKey)
	t.Setenv("AWS_SESSION_TOKEN", "")

	var all strings.Builder
	run := func(want int, wantOut string, args ...string) {
		t.Helper()
		code, out := command(t.Context(), args...)
		all.WriteString(out)
		if code != want || !strings.Contains(out, wantOut) {
			t.Errorf("%q: exit code %d, %s; want %d, %q", args, code, out, want, wantOut)
		}
	}
	run(1, "s4-s3 get: no credentials (set $AWS_ACCESS_KEY_ID", "import", "--retries", "0", "s3://bkt/in/", "s4://b/none/")
	run(0, "1 task", "import", "--send-credentials", "--joblog", filepath.Join(dir, "joblog"), "s3://bkt/in/", "s4://b/in/")
	run(0, "1 task", "export", "--send-credentials", "--success-marker", "s4://b/in/", "s3://bkt/out/")
	s.Put(t, "bkt", "gone/a", []byte("alpha"))
	run(1, "the key exists", "import", "--send-credentials", "--on-failure", "keep", "s3://bkt/in/", "s4://b/in/")
	run(0, "", "jobs")
	if got, _ := s.Get(t, "bkt", "out/a"); string(got) != "alpha" {
		t.Errorf("exported %q", got)
	}
	client := c.Client(t, &s4.Options{Secret: secret})
	jobs, err := client.Jobs(t.Context())
	if err != nil || len(jobs) < 3 {
		t.Fatalf("jobs %v, %v", jobs, err)
	}
	for _, j := range jobs {
		run(0, j.ID, "jobs", "show", j.ID)
	}

	t.Setenv("S4_CONF_PATH", open.Cluster.Path)
	t.Setenv("S4_SECRET_FILE", "")
	run(2, "the cluster has no secret", "import", "--send-credentials", "s3://bkt/in/", "s4://b/in/")
	run(0, "1 task", "import", "--send-credentials-in-clear", "s3://bkt/in/", "s4://b/in/")

	secrets := []string{s.AccessKey, s.SecretKey}
	for _, text := range secrets {
		if strings.Contains(all.String(), text) {
			t.Errorf("output has a credential:\n%s", all.String())
		}
	}
	for _, root := range []string{dir, open.Dir} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			for _, text := range secrets {
				if bytes.Contains(b, []byte(text)) {
					t.Errorf("%s has a credential", path)
				}
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// TestServerBack stops a server in the middle of an import and starts it again.
func TestServerBack(t *testing.T) {
	l := newLab(t, s3test.Fake)
	c := nodetest.StartProxied(t, 3, node.Config{})
	conf := filepath.Join(t.TempDir(), "s4.conf")
	var list bytes.Buffer
	for _, server := range c.Cluster.Servers {
		fmt.Fprintln(&list, server)
	}
	if err := os.WriteFile(conf, list.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("S4_CONF_PATH", conf)
	names := map[int]string{} // a name of each server
	for i := 0; len(names) < 3; i++ {
		name := string(rune('a' + i))
		names[c.Cluster.Place(name)] = name
	}
	for _, name := range names {
		l.Put(t, "bkt", "in/"+name, []byte(name))
	}
	l.proxy.Set(s3test.Rule{Ops: []s3test.Op{s3test.GetObject}, Key: "in/" + names[1], Times: 1, Fault: s3test.StallResponse(0)})
	done := make(chan string, 1)
	go func() {
		code, out := command(t.Context(), "import", "s3://bkt/in/", "s4://b/in/")
		if code == 0 {
			out = ""
		}
		done <- out
	}()
	nodetest.Eventually(t, "the object is asked for", func() bool { return l.proxy.Struck() > 0 })
	c.StopNode(1)
	c.StartNode(t, 1)
	if out := <-done; out != "" {
		t.Fatal(out)
	}
	client := c.Client(t, nil)
	for _, name := range names {
		var b bytes.Buffer
		if _, err := client.Get(t.Context(), "s4://b/in/"+name, &b); err != nil || b.String() != name {
			t.Errorf("%s: got %q, %v", name, b.String(), err)
		}
	}
}

// TestExportCanceled has no part of an upload left when the command is interrupted: its
// tasks are killed, and cannot do so.
func TestExportCanceled(t *testing.T) {
	l := newLab(t, s3test.Versity)
	c := nodetest.Start(t, 2, node.Config{})
	t.Setenv("S4_CONF_PATH", c.Cluster.Path)
	client := c.Client(t, nil)
	if err := client.Put(t.Context(), "s4://b/out/large", bytes.NewReader(bytesOf(partSize+1)), -1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l.proxy.Set(s3test.Rule{Ops: []s3test.Op{s3test.UploadPart}, Fault: s3test.Before(cancel)})
	code, out := command(ctx, "export", "s4://b/out/", "s3://bkt/out/")
	if code != 130 {
		t.Errorf("exit code %d, %s", code, out)
	}
	if left := l.Uploads(t, "bkt"); len(left) > 0 {
		t.Errorf("uploads are left: %v\n%s", left, out)
	}
	if l.proxy.Count(s3test.AbortUpload) == 0 {
		t.Error("no upload was aborted")
	}
}
