package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// silentS3 answers when the command has said that it waits.
type silentS3 struct{ said <-chan string }

func (s silentS3) Import(ctx context.Context, _ *S3Import) (*S3Job, error) {
	select {
	case line := <-s.said:
		return nil, errors.New("after: " + line)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s silentS3) Export(context.Context, *S3Export) (*S3Job, error) {
	return nil, errors.New("not asked for")
}

// said is a stderr that passes on its first line.
type said chan string

func (s said) Write(p []byte) (int, error) {
	select {
	case s <- string(p):
	default:
	}
	return len(p), nil
}

// TestSlowS3 has an S3 that says nothing until the user was told so.
func TestSlowS3(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "conf")
	if err := os.WriteFile(conf, []byte("127.0.0.1:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	errs := make(said, 2)
	a := &app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: errs, slowS3: time.Nanosecond, s3: silentS3{errs}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // against hanging
	defer cancel()
	if code := a.main(ctx, []string{"import", "--conf", conf, "s3://b/in/", "s4://b/in/"}); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if got := <-errs; !strings.HasPrefix(got, "s4: import s3://b/in/: after: still waiting for S3 to tell about s3://b/in/ (") {
		t.Errorf("got %q", got)
	}
}
