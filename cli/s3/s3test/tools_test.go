package s3test_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nathants/s4/cli/s3/s3test"
)

func TestTools(t *testing.T) {
	for _, kind := range []s3test.Kind{s3test.Fake, s3test.Versity} {
		for _, tool := range []s3test.Tool{s3test.AWS, s3test.Rclone} {
			t.Run(string(kind)+"/"+string(tool), func(t *testing.T) { testTool(t, kind, tool) })
		}
	}
}

// Each tool sees what was put, and puts what is then read, in one part and in several.
func testTool(t *testing.T, kind s3test.Kind, tool s3test.Tool) {
	x := s3test.NeedTool(t, tool)
	s := s3test.Start(t, kind)
	s.MakeBucket(t, bucket)
	small, large := content[:1000], bytes.Repeat(content, 9)
	s.Put(t, bucket, "in/dir/small", small)
	s.PutParts(t, bucket, "in/large", [][]byte{large[:5<<20], large[5<<20:]})

	want := map[string][]byte{"dir/small": small, "large": large}
	if got := x.Sizes(t, s, bucket, "in/"); len(got) != 2 || got["dir/small"] != 1000 || got["large"] != int64(len(large)) {
		t.Errorf("sizes %v", got)
	}
	dir := t.TempDir()
	x.Download(t, s, bucket, "in/", dir)
	for name, content := range want {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(b, content) {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
	x.Upload(t, s, dir, bucket, "out/")
	for name, content := range want {
		b, h := s.Get(t, bucket, "out/"+name)
		if !bytes.Equal(b, content) {
			t.Errorf("out/%s: %d bytes, want %d", name, len(b), len(content))
		}
		sum := md5.Sum(content)
		if etag := strings.Trim(h.Get("ETag"), `"`); etag != hex.EncodeToString(sum[:]) && !strings.Contains(etag, "-") {
			t.Errorf("out/%s has ETag %s", name, etag)
		}
	}
}
