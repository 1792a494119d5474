package s3test_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/nathants/s4/cli/s3/s3test"
	"github.com/nathants/s4/cli/s3/s3test/sigv4"
)

// What doc.go says of what S3 does, as far as no other test shows it.

func TestPages(t *testing.T) {
	p, s := start(t)
	var want []string
	for i := range 7 {
		want = append(want, fmt.Sprintf("page/%d", i))
		s.Put(t, bucket, want[i], nil)
	}
	s.SetPageSize(3)
	p.Forget()
	var got []string
	for _, o := range s.List(t, bucket, "page/") {
		got = append(got, o.Key)
	}
	if !slices.Equal(got, want) || p.Count(s3test.ListObjects) != 3 {
		t.Errorf("%q in %d pages", got, p.Count(s3test.ListObjects))
	}
}

// An ETag of an encrypted object is the same everywhere, and not the MD5.
func TestKMS(t *testing.T) {
	_, s := start(t)
	s.SetKMS(true)
	h := s.Head(t, bucket, "k")
	etag := h.Get("ETag")
	sum := md5.Sum(content)
	if strings.Contains(etag, hex.EncodeToString(sum[:])) || len(etag) != 34 || h.Get("X-Amz-Server-Side-Encryption") != "aws:kms" {
		t.Errorf("%v", h)
	}
	if list := s.List(t, bucket, "k"); len(list) != 1 || list[0].ETag != etag {
		t.Errorf("listed %v, want %s", list, etag)
	}
	if body, h, err := get(t, s, "If-Match", etag, "Range", "bytes=0-15"); err != nil || string(body) != string(content[:16]) || h.Get("ETag") != etag {
		t.Errorf("%q, %v, %v", body, h, err)
	}
}

// A fault that does not fit a body has not happened.
func TestNotStruck(t *testing.T) {
	p, s := start(t)
	beyond := int64(len(content)) + 1
	for _, f := range []s3test.Fault{s3test.FlipResponse(beyond), s3test.CutResponse(beyond), s3test.StallResponse(beyond), s3test.FlipRequest(beyond), s3test.CutRequest(beyond)} {
		p.Set(s3test.Rule{Fault: f})
		body, _, err := get(t, s)
		if err := errors.Join(err, put(t, s, nil)); err != nil || !bytes.Equal(body, content) || p.Struck() != 0 {
			t.Errorf("%d bytes, %v, %d struck", len(body), err, p.Struck())
		}
	}
}

// A body that is too short for a fault does not use up its rule.
func TestFits(t *testing.T) {
	p, s := start(t)
	p.Set(s3test.Rule{Times: 1, Fault: s3test.FlipRequest(100)}, s3test.Rule{Times: 1, Fault: s3test.FlipResponse(100)})
	s.Put(t, bucket, "short", content[:100])
	getKey(t, s, "short")
	if n := p.Struck(); n != 0 {
		t.Errorf("%d of short bodies are struck", n)
	}
	s.Put(t, bucket, "long", content)
	if body, _ := getKey(t, s, "long"); p.Struck() != 2 || !bytes.Equal(body, content) { // the same bit twice
		t.Errorf("%d are struck", p.Struck())
	}
}

// Names that a file system has not.
func TestNames(t *testing.T) {
	_, s := start(t)
	names := []string{"a/../b", "a/./b", "a//b", "c\x01", "dir", "dir/", "dir/x", "l\nf", strings.Repeat("n", 300)}
	for _, name := range names {
		s.Put(t, bucket, "n/"+name, []byte(name))
	}
	var got []string
	for _, o := range s.List(t, bucket, "n/") {
		got = append(got, strings.TrimPrefix(o.Key, "n/"))
		if body, _ := s.Get(t, bucket, o.Key); string(body) != strings.TrimPrefix(o.Key, "n/") {
			t.Errorf("%q is %q", o.Key, body)
		}
	}
	if !slices.Equal(got, names) {
		t.Errorf("%q, want %q", got, names)
	}
}

// Checksums of objects in several parts are of the whole, or of the checksums of the
// parts; and there is one where none was sent.
func TestPartChecksums(t *testing.T) {
	s := s3test.Start(t, s3test.Versity)
	s.MakeBucket(t, bucket)
	parts := [][]byte{bytes.Repeat(content, 5), []byte("the end")}
	whole := bytes.Join(parts, nil)
	for _, x := range []struct{ algorithm, kind string }{{"CRC64NVME", "FULL_OBJECT"}, {"CRC32C", "FULL_OBJECT"}, {"CRC32", "COMPOSITE"}, {"SHA256", "COMPOSITE"}} {
		s.PutParts(t, bucket, x.algorithm, parts, "X-Amz-Checksum-Algorithm", x.algorithm, "X-Amz-Checksum-Type", x.kind)
		h := s.Head(t, bucket, x.algorithm)
		got := h.Get("X-Amz-Checksum-" + x.algorithm)
		if want := s3test.Checksum(t, x.algorithm, whole); h.Get("X-Amz-Checksum-Type") != x.kind ||
			x.kind == "FULL_OBJECT" && got != want || x.kind == "COMPOSITE" && !strings.HasSuffix(got, "-2") {
			t.Errorf("%s: %v, and of the whole it is %s", x.algorithm, h, want)
		}
		if _, h := getKey(t, s, x.algorithm, "X-Amz-Checksum-Mode", "ENABLED", "Range", "bytes=0-9"); h.Get("X-Amz-Checksum-"+x.algorithm) != "" {
			t.Errorf("%s: a range has it, too", x.algorithm)
		}
	}
	s.Put(t, bucket, "none", content)
	if got := s.Head(t, bucket, "none").Get("X-Amz-Checksum-Crc64nvme"); got != s3test.Checksum(t, "CRC64NVME", content) {
		t.Errorf("where none was sent: %q", got)
	}
}

// Errors of S3 that look like something else.
func TestOddErrors(t *testing.T) {
	p, s := start(t)
	p.Set(s3test.Rule{Fault: s3test.Archived()})
	if _, _, err := get(t, s); code(err) != "InvalidObjectState" {
		t.Errorf("archived: %v", err)
	}
	p.Set(s3test.Rule{Fault: s3test.WrongRegion("eu-north-1")})
	if _, _, err := get(t, s); code(err) != "PermanentRedirect" {
		t.Errorf("another region: %v", err)
	}
	p.Set(s3test.Rule{Fault: s3test.LateError()})
	resp, err := s.Do(t.Context(), sigv4.Request{Method: http.MethodPost, Bucket: bucket, Key: "k", Query: url.Values{"uploadId": {"1"}}})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	_, err = b.ReadFrom(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil || !strings.Contains(b.String(), "<Code>InternalError</Code>") {
		t.Errorf("%d, %q, %v", resp.StatusCode, &b, err)
	}
}

// An encoding is a header, and the bytes are as they were put.
func TestContentEncoding(t *testing.T) {
	for _, kind := range []s3test.Kind{s3test.Fake, s3test.Versity} {
		s := s3test.Start(t, kind)
		s.MakeBucket(t, bucket)
		s.Put(t, bucket, "k", []byte("not gzip"), "Content-Encoding", "gzip")
		// Without Accept-Encoding, net/http would decode it.
		body, h, err := get(t, s, "Accept-Encoding", "identity")
		if err != nil || string(body) != "not gzip" || h.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: %q, %v, %v", kind, body, h, err)
		}
	}
}
