package s3test_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nathants/s4/cli/s3/s3test"
	"github.com/nathants/s4/cli/s3/s3test/sigv4"
)

// What an importer and an exporter rely on, of each server.
func TestServers(t *testing.T) {
	for _, kind := range []s3test.Kind{s3test.Fake, s3test.Versity} {
		t.Run(string(kind), func(t *testing.T) {
			s := s3test.Start(t, kind)
			s.MakeBucket(t, bucket)
			t.Run("objects", func(t *testing.T) { testObjects(t, s) })
			t.Run("checksums", func(t *testing.T) { testChecksums(t, s) })
			t.Run("parts", func(t *testing.T) { testParts(t, s) })
			t.Run("conditions", func(t *testing.T) { testConditions(t, s) })
			t.Run("credentials", func(t *testing.T) { testCredentials(t, s) })
		})
	}
}

func testObjects(t *testing.T, s *s3test.Server) {
	keys := []string{"dir/a", "dir/b c+d", "dir/ü%20&=?", "e"}
	for _, key := range keys {
		s.Put(t, bucket, key, []byte(key))
		if body, _ := s.Get(t, bucket, key); string(body) != key {
			t.Errorf("%q is %q", key, body)
		}
	}
	var listed []string
	for _, o := range s.List(t, bucket, "") {
		listed = append(listed, o.Key)
		sum := md5.Sum([]byte(o.Key))
		if o.Size != int64(len(o.Key)) || strings.Trim(o.ETag, `"`) != hex.EncodeToString(sum[:]) {
			t.Errorf("%+v, of which the MD5 is %x", o, sum)
		}
	}
	if fmt.Sprint(listed) != fmt.Sprint(keys) {
		t.Errorf("list %q, want %q", listed, keys)
	}
	if list := s.List(t, bucket, "dir/b"); len(list) != 1 {
		t.Errorf("list of a prefix: %v", list)
	}
	for _, key := range keys {
		s.Delete(t, bucket, key)
	}
	if list := s.List(t, bucket, ""); len(list) != 0 {
		t.Errorf("after all are removed: %v", list)
	}
}

// A checksum that comes with an object is verified, stored, and given back.
func testChecksums(t *testing.T, s *s3test.Server) {
	const name = "X-Amz-Checksum-Crc64nvme"
	sum := s3test.Checksum(t, "CRC64NVME", content)
	s.Put(t, bucket, "sum", content, name, sum)
	if got := s.Head(t, bucket, "sum").Get(name); got != sum {
		t.Errorf("checksum %q, want %q", got, sum)
	}
	body, header := s.Get(t, bucket, "sum")
	if !bytes.Equal(body, content) || header.Get(name) != sum {
		t.Errorf("%d bytes, %v", len(body), header)
	}
	wrong := bytes.ToUpper(content)
	resp, err := s.Do(t.Context(), sigv4.Request{Method: "PUT", Bucket: bucket, Key: "wrong", Header: http.Header{name: {sum}}, Body: bytes.NewReader(wrong), Size: int64(len(wrong))})
	if err == nil {
		resp.Body.Close()
	}
	if c := code(err); c != "BadDigest" {
		t.Errorf("a wrong checksum: %v", err)
	}
}

func testParts(t *testing.T, s *s3test.Server) {
	parts := [][]byte{bytes.Repeat(content, 5), []byte("the end")} // all but the last have 5 MiB
	etag := s.PutParts(t, bucket, "parts", parts)
	whole := bytes.Join(parts, nil)
	body, h := s.Get(t, bucket, "parts")
	if !bytes.Equal(body, whole) || h.Get("ETag") != etag {
		t.Errorf("%d bytes with ETag %s, want %d with %s", len(body), h.Get("ETag"), len(whole), etag)
	}
	if sum := md5.Sum(whole); s.Kind == s3test.Versity && !strings.HasSuffix(strings.Trim(etag, `"`), "-2") ||
		s.Kind == s3test.Fake && strings.Trim(etag, `"`) != hex.EncodeToString(sum[:]) {
		t.Errorf("ETag %s", etag)
	}
	if left := s.Uploads(t, bucket); len(left) != 0 {
		t.Errorf("unfinished: %v", left)
	}
	resp, err := s.Do(t.Context(), sigv4.Request{Method: "POST", Bucket: bucket, Key: "unfinished", Query: map[string][]string{"uploads": {""}}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if left := s.Uploads(t, bucket); len(left) != 1 || left[0] != "unfinished" {
		t.Errorf("unfinished: %v", left)
	}
}

func testConditions(t *testing.T, s *s3test.Server) {
	etag := s.Put(t, bucket, "k", content).Get("ETag")
	body, _, err := get(t, s, "If-Match", etag, "Range", "bytes=16-31")
	if err != nil || !bytes.Equal(body, content[:16]) {
		t.Errorf("%q, %v", body, err)
	}
	s.Put(t, bucket, "k", bytes.ToUpper(content))
	if _, _, err := get(t, s, "If-Match", etag, "Range", "bytes=16-31"); code(err) != "PreconditionFailed" {
		t.Errorf("of an object that has changed: %v", err)
	}
	resp, err := s.Do(t.Context(), sigv4.Request{Method: "PUT", Bucket: bucket, Key: "k", Header: http.Header{"If-None-Match": {"*"}}, Body: strings.NewReader("x"), Size: 1})
	if err == nil {
		resp.Body.Close()
	}
	if code(err) != "PreconditionFailed" {
		t.Errorf("put where there is one: %v", err)
	}
}

// A wrong secret is refused, and what is missing is said to be.
func testCredentials(t *testing.T, s *s3test.Server) {
	other := *s
	other.SecretKey += "x"
	if _, _, err := get(t, &other); code(err) != "SignatureDoesNotMatch" {
		t.Errorf("with a wrong secret: %v", err)
	}
	_, err := s.Do(t.Context(), sigv4.Request{Method: "GET", Bucket: bucket, Key: "missing"})
	if e, ok := errors.AsType[*sigv4.Error](err); !ok || e.Code != "NoSuchKey" || e.Status != http.StatusNotFound {
		t.Errorf("a missing key: %v", err)
	}
	if _, err := s.Do(t.Context(), sigv4.Request{Method: "GET", Bucket: "missing-bucket"}); code(err) != "NoSuchBucket" {
		t.Errorf("a missing bucket: %v", err)
	}
}

// The files of versitygw are the objects, and go with the test.
func TestVersityFiles(t *testing.T) {
	var dir string
	t.Run("", func(t *testing.T) {
		s := s3test.Start(t, s3test.Versity)
		dir = s.Dir
		s.MakeBucket(t, bucket)
		s.Put(t, bucket, "dir/k", content)
		if b, err := os.ReadFile(filepath.Join(dir, bucket, "dir", "k")); err != nil || !bytes.Equal(b, content) {
			t.Errorf("%d bytes, %v", len(b), err)
		}
	})
	if _, err := os.Stat(dir); dir != "" && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", dir, err)
	}
}
