package s3test_test

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nathants/s4/cli/s3/s3test"
	"github.com/nathants/s4/cli/s3/s3test/sigv4"
	"github.com/nathants/s4/node/nodetest"
)

func TestMain(m *testing.M) { os.Exit(nodetest.Main(m)) }

const bucket = "bucket"

// content is larger than any buffer between the two ends.
var content = bytes.Repeat([]byte("0123456789abcdef"), 1<<16)

// start returns a server with an object k in a bucket, behind a proxy.
func start(t *testing.T) (*s3test.Proxy, *s3test.Server) {
	s := s3test.Start(t, s3test.Fake)
	s.MakeBucket(t, bucket)
	s.Put(t, bucket, "k", content)
	p := s3test.NewProxy(t, s.Endpoint)
	front := p.Front(s)
	// A client of its own, which retries no request on another connection.
	transport := &http.Transport{DisableKeepAlives: true}
	front.HTTP = &http.Client{Transport: transport}
	return p, front
}

// get gets the object k.
func get(t *testing.T, s *s3test.Server, header ...string) ([]byte, http.Header, error) {
	t.Helper()
	return getOf(t, s, "k", header)
}

// getKey gets an object that must be there.
func getKey(t *testing.T, s *s3test.Server, key string, header ...string) ([]byte, http.Header) {
	t.Helper()
	body, h, err := getOf(t, s, key, header)
	if err != nil {
		t.Fatal(err)
	}
	return body, h
}

func getOf(t *testing.T, s *s3test.Server, key string, pairs []string) ([]byte, http.Header, error) {
	t.Helper()
	h := make(http.Header)
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	resp, err := s.Do(t.Context(), sigv4.Request{Method: "GET", Bucket: bucket, Key: key, Header: h})
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return body, resp.Header, err
}

func put(t *testing.T, s *s3test.Server, header http.Header) error {
	t.Helper()
	resp, err := s.Do(t.Context(), sigv4.Request{Method: "PUT", Bucket: bucket, Key: "new", Header: header, Body: bytes.NewReader(content), Size: int64(len(content))})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// code is that of an answer, or empty.
func code(err error) string {
	if e, ok := errors.AsType[*sigv4.Error](err); ok {
		return e.Code
	}
	return ""
}

func TestNoRules(t *testing.T) {
	p, s := start(t)
	if body, _, err := get(t, s); err != nil || !bytes.Equal(body, content) {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	if err := put(t, s, nil); err != nil {
		t.Error(err)
	}
	if p.Struck() != 0 || p.Count() != 2 {
		t.Errorf("calls %v", p.Calls())
	}
}

// A rule strikes those that it names, after some, some times; and all else passes.
func TestRule(t *testing.T) {
	p, s := start(t)
	p.Set(s3test.Rule{Ops: []s3test.Op{s3test.GetObject}, Key: "k*", Skip: 1, Times: 2, Fault: s3test.SlowDown()})
	var codes []string
	for range 4 {
		_, _, err := get(t, s)
		codes = append(codes, code(err))
		s.Head(t, bucket, "k")
	}
	if want := []string{"", "SlowDown", "SlowDown", ""}; !slices.Equal(codes, want) {
		t.Errorf("answers %q, want %q", codes, want)
	}
	if p.Struck() != 2 || p.Count(s3test.GetObject) != 4 || p.Count(s3test.HeadObject) != 4 {
		t.Errorf("calls %v", p.Calls())
	}
	p.Forget()
	p.Set(s3test.Rule{Key: "other", Fault: s3test.SlowDown()})
	if _, _, err := get(t, s); err != nil || p.Struck() != 0 || p.Count() != 1 {
		t.Errorf("%v, calls %v", err, p.Calls())
	}
}

// A share of the requests is the same for the same seed.
func TestShare(t *testing.T) {
	p, s := start(t)
	run := func(seed uint64) (struck []bool) {
		p.Forget()
		p.Set(s3test.Rule{Share: 0.5, Seed: seed, Fault: s3test.InternalError()})
		for range 30 {
			_, _ = s.Do(t.Context(), sigv4.Request{Method: "HEAD", Bucket: bucket, Key: "k"}) // the calls tell
		}
		for _, c := range p.Calls() {
			struck = append(struck, c.Struck)
		}
		return struck
	}
	first := run(1)
	if n := p.Struck(); n < 5 || n > 25 {
		t.Errorf("%d of 30 are struck", n)
	}
	if again := run(1); !slices.Equal(first, again) {
		t.Errorf("struck %v, and then %v", first, again)
	}
	if other := run(2); slices.Equal(first, other) {
		t.Error("another seed is the same")
	}
}

func TestFaults(t *testing.T) {
	p, s := start(t)
	half := int64(len(content) / 2)
	// net/http may have closed the connection for the reset before it fails to write to it.
	isReset := func(err error) bool { return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed) }
	flipped := slices.Clone(content)
	flipped[half] ^= 1
	for what, x := range map[string]struct {
		fault s3test.Fault
		seen  func(t *testing.T) bool
	}{
		"slow down":      {s3test.SlowDown(), func(t *testing.T) bool { _, _, err := get(t, s); return code(err) == "SlowDown" }},
		"expired token":  {s3test.ExpiredToken(), func(t *testing.T) bool { _, _, err := get(t, s); return code(err) == "ExpiredToken" }},
		"access denied":  {s3test.AccessDenied(), func(t *testing.T) bool { return code(put(t, s, nil)) == "AccessDenied" }},
		"internal error": {s3test.InternalError(), func(t *testing.T) bool { return code(put(t, s, nil)) == "InternalError" }},
		"cut response": {s3test.CutResponse(half), func(t *testing.T) bool {
			body, _, err := get(t, s)
			return len(body) > 0 && len(body) < len(content) && isReset(err)
		}},
		"cut at once":  {s3test.CutResponse(0), func(t *testing.T) bool { _, _, err := get(t, s); return isReset(err) }},
		"cut request":  {s3test.CutRequest(half), func(t *testing.T) bool { return isReset(put(t, s, nil)) }},
		"flipped byte": {s3test.FlipResponse(half), func(t *testing.T) bool { body, _, err := get(t, s); return err == nil && bytes.Equal(body, flipped) }},
		"flipped byte of a put": {s3test.FlipRequest(half), func(t *testing.T) bool {
			sum := md5.Sum(content)
			withMD5 := http.Header{"Content-Md5": {base64.StdEncoding.EncodeToString(sum[:])}}
			return put(t, s, nil) == nil && code(put(t, s, withMD5)) == "BadDigest"
		}},
		"header":    {s3test.SetHeader("ETag", `"1"`), func(t *testing.T) bool { _, h, err := get(t, s); return err == nil && h.Get("ETag") == `"1"` }},
		"no header": {s3test.NoHeader("etag"), func(t *testing.T) bool { _, h, err := get(t, s); return err == nil && h.Get("ETag") == "" }},
	} {
		t.Run(what, func(t *testing.T) {
			p.Forget()
			p.Set(s3test.Rule{Fault: x.fault})
			if !x.seen(t) || p.Struck() == 0 {
				t.Errorf("not seen; calls %v", p.Calls())
			}
			// And without it, all is well.
			p.Set()
			if body, _, err := get(t, s); err != nil || !bytes.Equal(body, content) {
				t.Errorf("afterwards: %d bytes, %v", len(body), err)
			}
		})
	}
}

// What a hook does is done before the request is passed on.
func TestBefore(t *testing.T) {
	p, s := start(t)
	h := s.Head(t, bucket, "k")
	var times atomic.Int32
	p.Set(s3test.Rule{Ops: []s3test.Op{s3test.GetObject}, Skip: 1, Times: 1, Fault: s3test.Before(func() {
		times.Add(1)
		s.Put(t, bucket, "k", bytes.ToUpper(content))
	})})
	if _, _, err := get(t, s, "Range", "bytes=0-9", "If-Match", h.Get("ETag")); err != nil {
		t.Error(err)
	}
	_, _, err := get(t, s, "Range", "bytes=10-19", "If-Match", h.Get("ETag"))
	if code(err) != "PreconditionFailed" || times.Load() != 1 {
		t.Errorf("%v, the hook was called %d times", err, times.Load())
	}
	if calls := p.Calls(); calls[2].Range != "bytes=10-19" {
		t.Errorf("calls %v", calls)
	}
}

// A response that stalls ends when the client leaves; a delay only delays.
func TestStall(t *testing.T) {
	p, s := start(t)
	p.Set(s3test.Rule{Fault: s3test.StallResponse(10)}, s3test.Rule{Fault: s3test.Delay(time.Millisecond)})
	resp, err := s.Do(t.Context(), sigv4.Request{Method: "GET", Bucket: bucket, Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	if _, err := io.ReadFull(resp.Body, buf); err != nil || string(buf) != "0123456789" {
		t.Errorf("%q, %v", buf, err)
	}
	resp.Body.Close()
	p.Set(s3test.Rule{Fault: s3test.Delay(time.Millisecond)})
	if body, _, err := get(t, s); err != nil || !bytes.Equal(body, content) {
		t.Errorf("delayed: %d bytes, %v", len(body), err)
	}
}

// Requests are told apart as S3 does.
func TestOps(t *testing.T) {
	p, s := start(t)
	s.PutParts(t, bucket, "parts", [][]byte{content, content})
	s.List(t, bucket, "")
	s.Uploads(t, bucket)
	s.Delete(t, bucket, "parts")
	s.MakeBucket(t, "another")
	var ops []s3test.Op
	for _, c := range p.Calls() {
		ops = append(ops, c.Op)
	}
	want := []s3test.Op{s3test.CreateUpload, s3test.UploadPart, s3test.UploadPart, s3test.CompleteUpload, s3test.ListObjects, s3test.ListUploads, s3test.DeleteObject, s3test.CreateBucket}
	if !slices.Equal(ops, want) {
		t.Errorf("%v, want %v", ops, want)
	}
}
