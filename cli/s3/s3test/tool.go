package s3test

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// Tool is another S3 client, as a second opinion on what was uploaded, and for objects
// that are made as it makes them.
type Tool string

// The tools.
const (
	// AWS is the AWS CLI: it uploads in parts of 8 MiB, with CRC64NVME or CRC32 in
	// trailers if it is new enough (botocore 1.36). A call takes half a second of CPU
	// time, so that tests with it run only if S4_TEST_S3 is set.
	AWS Tool = "aws"
	// Rclone stores the MD5 of an object of several parts as metadata.
	Rclone Tool = "rclone"
)

// NeedTool skips a test that cannot have a tool. With CI=true, it fails where rclone is
// missing.
func NeedTool(tb testing.TB, tool Tool) Tool {
	tb.Helper()
	_, err := exec.LookPath(string(tool))
	switch {
	case tool == AWS && os.Getenv("S4_TEST_S3") == "":
		tb.Skip("aws is slow; see it with make test-s3")
	case err == nil:
	case os.Getenv("CI") == "true" || os.Getenv("S4_TEST_S3") != "":
		tb.Fatalf("s3test: there is no %s", tool)
	default:
		tb.Skipf("there is no %s", tool)
	}
	return tool
}

// run runs the tool and returns its standard output.
func (x Tool) run(tb testing.TB, s *Server, args ...string) string {
	tb.Helper()
	if x == AWS {
		args = append(args, "--endpoint-url", s.Endpoint) // AWS_ENDPOINT_URL is known from 2.13 on
	}
	cmd := exec.Command(string(x), args...)
	cmd.Env = s.Environ()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("%s %q: %v\n%s", x, args, err, &stderr)
	}
	return string(out)
}

// rclone returns the words that begin with flags, and end with args, in which the
// server is ":s3:".
func rclone(s *Server, args ...string) []string {
	return append([]string{
		"--config", os.DevNull, "--s3-provider", "Other", "--s3-env-auth", "--s3-endpoint", s.Endpoint, "--s3-region", s.Region,
		"--s3-upload-cutoff", "5M", "--s3-chunk-size", "5M", "--ignore-checksum=false",
	}, args...)
}

// Sizes returns the sizes of the objects below a prefix that ends in a slash, by what
// follows it in the key.
func (x Tool) Sizes(tb testing.TB, s *Server, bucket, prefix string) map[string]int64 {
	tb.Helper()
	sizes := make(map[string]int64)
	add := func(name, size string) {
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil {
			tb.Fatalf("s3test: %s lists %q with size %q", x, name, size)
		}
		sizes[name] = n
	}
	if x == Rclone {
		for line := range strings.Lines(x.run(tb, s, rclone(s, "lsf", "-R", "--files-only", "--format", "sp", "--separator", "\t", ":s3:"+bucket+"/"+prefix)...)) {
			size, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			add(name, size)
		}
		return sizes
	}
	out := x.run(tb, s, "s3api", "list-objects-v2", "--bucket", bucket, "--prefix", prefix, "--output", "text", "--query", "Contents[].[Size,Key]")
	for line := range strings.Lines(out) {
		size, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		add(strings.TrimPrefix(name, prefix), size)
	}
	return sizes
}

// Download copies the objects below a prefix that ends in a slash to a directory. The
// tool verifies them as far as it can.
func (x Tool) Download(tb testing.TB, s *Server, bucket, prefix, dir string) {
	tb.Helper()
	if x == Rclone {
		x.run(tb, s, rclone(s, "copy", ":s3:"+bucket+"/"+prefix, dir)...)
		return
	}
	x.run(tb, s, "s3", "cp", "--only-show-errors", "--recursive", "s3://"+bucket+"/"+prefix, dir)
}

// Upload copies the files below a directory to a prefix that ends in a slash.
func (x Tool) Upload(tb testing.TB, s *Server, dir, bucket, prefix string) {
	tb.Helper()
	if x == Rclone {
		x.run(tb, s, rclone(s, "copy", dir, ":s3:"+bucket+"/"+prefix)...)
		return
	}
	x.run(tb, s, "s3", "cp", "--only-show-errors", "--recursive", dir, "s3://"+bucket+"/"+prefix)
}
