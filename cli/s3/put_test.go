package s3

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/nathants/s4/cli/s3/s3test"
)

// sourceOf returns a file of that content as s4 has it.
func sourceOf(t *testing.T, content []byte, sum string) *source {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fsetxattr(int(f.Fd()), sumAttr, []byte(sum), 0); err != nil {
		t.Fatal(err)
	}
	s, err := newSource(f)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPut(t *testing.T) {
	for _, kind := range []s3test.Kind{s3test.Fake, s3test.Versity} {
		t.Run(string(kind), func(t *testing.T) {
			l := newLab(t, kind)
			for name, content := range map[string][]byte{"empty": {}, "small": []byte("small"), "large": bytesOf(10<<20 + 7)} {
				s := sourceOf(t, content, "0123456789abcdef")
				if skipped, err := l.p.put(t.Context(), s, "bkt", name); err != nil || skipped {
					t.Fatalf("%s: %v, %v", name, skipped, problem(err))
				}
				got, h := l.Get(t, "bkt", name)
				if !bytes.Equal(got, content) || h.Get("x-amz-meta-s4-xxh64") != s.sum {
					t.Errorf("%s: got %d bytes, headers %v", name, len(got), h)
				}
				if want := inBase64(crc64NVMe.update(0, content)); kind == s3test.Versity && h.Get("X-Amz-Checksum-Crc64nvme") != want {
					t.Errorf("%s: got headers %v, want a CRC64NVME %s", name, h, want)
				}
				got, err := l.fetch(t, l.record(t, name))
				if err != nil || !bytes.Equal(got, content) {
					t.Errorf("%s: fetched %d bytes, %v", name, len(got), err)
				}
			}
			if left := l.Uploads(t, "bkt"); len(left) > 0 {
				t.Errorf("uploads are left: %v", left)
			}
		})
	}
}

// TestPutFaults has parts damaged, refused and cut on their way. Nothing of an upload that
// fails is left.
func TestPutFaults(t *testing.T) {
	l := newLab(t, s3test.Versity)
	content := bytesOf(5<<20 + 7)
	s := sourceOf(t, content, "0123456789abcdef")
	for name, c := range map[string]struct {
		rule s3test.Rule
		want string // "" for no error
	}{
		"slow down": {s3test.Rule{Times: 2, Fault: s3test.SlowDown()}, ""},
		"reset":     {s3test.Rule{Times: 1, Fault: s3test.CutRequest(1000)}, ""},
		"late":      {s3test.Rule{Times: 1, Fault: s3test.LateError()}, ""},
		"flip":      {s3test.Rule{Fault: s3test.FlipRequest(1000)}, "S3 got other bytes than were sent"},
		"expired":   {s3test.Rule{Skip: 1, Fault: s3test.ExpiredToken()}, "the credentials have expired"},
	} {
		c.rule.Ops = []s3test.Op{s3test.UploadPart}
		if name == "late" {
			c.rule.Ops = []s3test.Op{s3test.CompleteUpload}
		}
		l.proxy.Set(c.rule)
		was := l.proxy.Struck()
		_, err := l.p.put(t.Context(), s, "bkt", "k")
		if err = problem(err); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		if l.proxy.Struck() == was {
			t.Errorf("%s: did not happen", name)
		}
		if left := l.Uploads(t, "bkt"); len(left) > 0 {
			t.Errorf("%s: uploads are left: %v", name, left)
		}
	}
}

func TestPutSkips(t *testing.T) {
	l := newLab(t, s3test.Fake)
	content := bytesOf(1000)
	same, other := sourceOf(t, content, "0123456789abcdef"), sourceOf(t, bytesOf(999), "fedcba9876543210")
	put := func(s *source, want bool) {
		t.Helper()
		if skipped, err := l.p.put(t.Context(), s, "bkt", "k"); err != nil || skipped != want {
			t.Fatalf("skipped %v, %v; want %v", skipped, err, want)
		}
	}
	put(same, false)
	put(same, false)
	l.p.resume = true
	put(same, true)
	put(sourceOf(t, bytes.Repeat([]byte("y"), 1000), "0000000000000000"), false)
	put(other, false)
	put(other, true)
	l.p.resume, l.p.noClobber = false, true
	put(same, true)
	if got, _ := l.Get(t, "bkt", "k"); !slices.Equal(got, bytesOf(999)) {
		t.Error("--no-clobber has replaced the object")
	}
	// Of the same size, and without what s4 says of it.
	l.p.resume, l.p.noClobber = true, false
	l.Put(t, "bkt", "k", bytes.Repeat([]byte("x"), 1000))
	put(same, false)
}

// TestPutMarker has a key that is called as the marker of an export that writes one: it
// would be there before all others are.
func TestPutMarker(t *testing.T) {
	l := newLab(t, s3test.Fake)
	for _, marked := range []bool{true, false} {
		args := []string{"put", "--below=s4://b/in/", "s3://bkt/out/"}
		if marked {
			args = append(args, "--marked")
		}
		t.Setenv("S4_KEY", "s4://b/in/"+marker)
		f := sourceOf(t, nil, "0123456789abcdef").f.(*os.File)
		l.proxy.Forget()
		var said bytes.Buffer
		if code := task(t.Context(), args, f, f, &said); code != 0 {
			t.Fatal(said.String())
		}
		if got := len(l.proxy.Calls()); (got > 0) == marked {
			t.Errorf("marked %v: %d requests", marked, got)
		}
	}
}

// TestAbortSince has one upload of which nobody knows whose it is, as its server is lost,
// and one that cannot be aborted: the others are, and the error says that some are left.
func TestAbortSince(t *testing.T) {
	l := newLab(t, s3test.Versity)
	for _, key := range []string{"p/a", "p/b", "p/c", "p/other", "q"} {
		if _, err := l.p.c.CreateMultipartUpload(t.Context(), &sdk.CreateMultipartUploadInput{Bucket: aws.String("bkt"), Key: &key}); err != nil {
			t.Fatal(err)
		}
	}
	lost := errors.New("lost")
	l.proxy.Set(s3test.Rule{Ops: []s3test.Op{s3test.AbortUpload}, Key: "p/b", Fault: s3test.AccessDenied()})
	n, err := abortSince(t.Context(), l.p.c, destination{"bkt", "p/"}, time.Time{}, func(key string) (bool, error) {
		if key == "p/a" {
			return false, lost
		}
		return key != "p/other", nil
	})
	if n != 1 || err != lost || len(l.Uploads(t, "bkt")) != 4 {
		t.Errorf("aborted %d, %v; left %v", n, err, l.Uploads(t, "bkt"))
	}
}
