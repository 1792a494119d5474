package s3test_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nathants/s4/cli/s3/s3test"
	"github.com/nathants/s4/node"
)

// Others read what s4 has exported, and s4 imports what others have uploaded, each in
// their own way. It runs if S4_TEST_S3 is set, as programs are built for it.
func TestSecondOpinions(t *testing.T) {
	if os.Getenv("S4_TEST_S3") == "" {
		t.Skip("it takes long; see it with make test-s3")
	}
	bin := buildPrograms(t)
	for _, tool := range []s3test.Tool{s3test.AWS, s3test.Rclone} {
		t.Run(string(tool), func(t *testing.T) { testOpinion(t, bin, s3test.NeedTool(t, tool)) })
	}
}

// buildPrograms builds what tasks and clients run, and returns its directory.
func buildPrograms(t *testing.T) string {
	t.Helper()
	const root = "../../.."
	bin := t.TempDir()
	cmd := exec.Command("go", "build", "-o", bin+"/", "./cli/s4", "./cli/s4-s3")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

func testOpinion(t *testing.T, bin string, tool s3test.Tool) {
	s := s3test.Start(t, s3test.Versity)
	s.MakeBucket(t, bucket)
	for _, v := range s.Env() { // for the servers
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	l, err := node.StartLocal(t.TempDir(), 3, 0, node.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = l.Shutdown(ctx) // nothing is under way
	}()
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command("s4", args...)
		cmd.Env = append(s.Environ(), "S4_CONF_PATH="+l.Cluster.Path)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("s4 %q: %v\n%s", args, err, out)
		}
	}
	files := map[string][]byte{
		"empty": nil, "dir/000_small": content[:1000], "dir/ü+%3D&=": content[:17], "large": bytes.Repeat(content, 20),
	}
	dir := t.TempDir()
	writeFiles(t, dir, files)

	tool.Upload(t, s, dir, bucket, "in/")
	run("import", "s3://"+bucket+"/in/", "s4://b/in/", "--endpoint-url", s.Endpoint)
	imported := t.TempDir()
	run("cp", "-r", "s4://b/in/", imported)
	checkFiles(t, "imported", imported, files)

	run("export", "s4://b/in/", "s3://"+bucket+"/out/", "--endpoint-url", s.Endpoint)
	sizes := tool.Sizes(t, s, bucket, "out/")
	for name, content := range files {
		if n, ok := sizes[name]; !ok || n != int64(len(content)) {
			t.Errorf("%s lists %s with %d bytes, %v; want %d", tool, name, n, ok, len(content))
		}
		h := s.Head(t, bucket, "out/"+name)
		if got, want := h.Get("X-Amz-Checksum-Crc64nvme"), s3test.Checksum(t, "CRC64NVME", content); h.Get("X-Amz-Checksum-Type") == "FULL_OBJECT" && got != "" && got != want {
			t.Errorf("%s has checksum %s, want %s", name, got, want)
		}
	}
	if len(sizes) != len(files) {
		t.Errorf("%s lists %v", tool, sizes)
	}
	downloaded := t.TempDir()
	tool.Download(t, s, bucket, "out/", downloaded)
	checkFiles(t, "exported", downloaded, files)
}

func writeFiles(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

// checkFiles fails the test if the directory has other files than these.
func checkFiles(t *testing.T, what, dir string, files map[string][]byte) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		n++
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if want, ok := files[name]; !ok || !bytes.Equal(b, want) {
			t.Errorf("%s: %s has %d bytes, want %d, %v", what, name, len(b), len(want), ok)
		}
		return err
	})
	if err != nil || n != len(files) {
		t.Errorf("%s: %d files, want %d, %v", what, n, len(files), err)
	}
}
