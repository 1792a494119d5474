package s3

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/nathants/s4/cli"
	"github.com/nathants/s4/cli/s3/s3test"
)

// bytesOf returns n bytes that are the same for every run.
func bytesOf(n int) []byte {
	rng := rand.NewChaCha8([32]byte{byte(n)})
	b := make([]byte, n)
	_, _ = rng.Read(b) // it does not fail
	return b
}

// lab is a server with a bucket b, behind a proxy, and a getter for it.
type lab struct {
	*s3test.Server
	proxy *s3test.Proxy
	g     *getter
	p     *putter
}

func newLab(t *testing.T, kind s3test.Kind) *lab {
	t.Helper()
	s := s3test.Start(t, kind)
	s.MakeBucket(t, "bkt")
	proxy := s3test.NewProxy(t, s.Endpoint)
	for _, kv := range s.Env() {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	t.Setenv("AWS_ENDPOINT_URL", proxy.URL)
	o := new(cli.S3Options)
	cfg, err := newConfig(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(cfg, o)
	l := &lab{s, proxy, newGetter(c, 3), newPutter(c, 3)}
	l.g.rangeSize, l.g.chunkSize, l.p.partSize = 1<<20, 300<<10, 5<<20 // the least that S3 takes
	return l
}

// record returns the record of an object as it is listed now.
func (l *lab) record(t *testing.T, key string) *record {
	t.Helper()
	var found *record
	err := list(t.Context(), l.g.c, "s3://bkt/"+key, func(o object) error {
		found = &record{Bucket: "bkt", Key: o.key, ETag: o.etag, Size: o.size}
		return nil
	})
	if err != nil || found == nil {
		t.Fatalf("%s is not listed: %v", key, err)
	}
	return found
}

// fetch fetches to a file.
func (l *lab) fetch(t *testing.T, r *record) ([]byte, error) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = problem(l.g.fetch(t.Context(), r, f))
	b, rerr := os.ReadFile(f.Name())
	return b, errors.Join(err, rerr)
}

// fetchPipe fetches to a pipe.
func (l *lab) fetchPipe(t *testing.T, r *record) ([]byte, error) {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	end := make(chan error, 1)
	go func() {
		end <- problem(l.g.fetch(t.Context(), r, out))
		out.Close()
	}()
	b, err := io.ReadAll(in)
	return b, errors.Join(err, <-end)
}

func TestGet(t *testing.T) {
	l := newLab(t, s3test.Fake)
	large := bytesOf(2<<20 + 5)
	for name, content := range map[string][]byte{"empty": nil, "one": {'x'}, "large": large} {
		l.Put(t, "bkt", name, content)
		r := l.record(t, name)
		for how, fetch := range map[string]func(*testing.T, *record) ([]byte, error){"file": l.fetch, "pipe": l.fetchPipe} {
			if got, err := fetch(t, r); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s to a %s: got %d bytes, %v; want %d", name, how, len(got), err, len(content))
			}
		}
	}
}

// TestGetFaults has requests fail in ways that go away.
func TestGetFaults(t *testing.T) {
	l := newLab(t, s3test.Fake)
	content := bytesOf(300 << 10)
	l.Put(t, "bkt", "k", content)
	r := l.record(t, "k")
	for name, rule := range map[string]s3test.Rule{
		"slow down":      {Times: 2, Fault: s3test.SlowDown()},
		"internal error": {Times: 1, Fault: s3test.InternalError()},
		"reset":          {Times: 1, Fault: s3test.CutResponse(100 << 10)},
	} {
		for how, fetch := range map[string]func(*testing.T, *record) ([]byte, error){"file": l.fetch, "pipe": l.fetchPipe} {
			rule.Ops = []s3test.Op{s3test.GetObject}
			l.proxy.Set(rule)
			was := l.proxy.Struck()
			if got, err := fetch(t, r); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s to a %s: got %d bytes, %v", name, how, len(got), err)
			}
			if l.proxy.Struck() == was {
				t.Errorf("%s: did not happen", name)
			}
		}
	}
}

// TestGetRefused has what must be an error, with what it says.
func TestGetRefused(t *testing.T) {
	l := newLab(t, s3test.Fake)
	l.Put(t, "bkt", "k", bytesOf(1000))
	r := l.record(t, "k")
	gone, other := *r, *r
	gone.Key, other.Bucket = "gone", "other"
	for want, c := range map[string]struct {
		r     *record
		fault s3test.Fault
	}{
		"its bytes are not those that S3 has stored": {r, s3test.FlipResponse(500)},
		"there is no such object":                    {&gone, s3test.Fault{}},
		"there is no such bucket":                    {&other, s3test.Fault{}},
		"the credentials have expired":               {r, s3test.ExpiredToken()},
		"the object has changed since it was listed": {r, s3test.SetHeader("ETag", `"another"`)},
		"the object is in an archive":                {r, s3test.Archived()},
		"access denied":                              {r, s3test.AccessDenied()},
	} {
		l.proxy.Set(s3test.Rule{Fault: c.fault, Ops: []s3test.Op{s3test.GetObject}})
		if _, err := l.fetch(t, c.r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	l.proxy.Set()
	l.Put(t, "bkt", "k", bytesOf(999))
	if _, err := l.fetch(t, r); !errors.Is(err, errChanged) && (err == nil || err.Error() != errChanged.Error()) {
		t.Errorf("of an object that has changed: got %v", err)
	}
}

// TestChecksums has objects with each checksum that S3 may have stored, whole and damaged
// on the way.
func TestChecksums(t *testing.T) {
	content := bytesOf(100 << 10)
	b64 := base64.StdEncoding.EncodeToString
	sha := sha256.Sum256(content)
	for name, c := range map[string]struct{ header, value string }{
		"CRC64NVME": {"x-amz-checksum-crc64nvme", b64(crc64NVMe.bytes(crc64NVMe.update(0, content)))},
		"CRC32C":    {"x-amz-checksum-crc32c", b64(crc32C.bytes(crc32C.update(0, content)))},
		"CRC32":     {"x-amz-checksum-crc32", b64(crc32IEEE.bytes(crc32IEEE.update(0, content)))},
		"SHA256":    {"x-amz-checksum-sha256", b64(sha[:])},
		"MD5":       {},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, s3test.Fake)
			l.Put(t, "bkt", "k", content)
			r := l.record(t, "k")
			rules := []s3test.Rule{{Fault: s3test.NoChecksums()}}
			if c.header != "" {
				rules = append(rules, s3test.Rule{Fault: s3test.SetHeader(c.header, c.value)})
			}
			for how, fetch := range map[string]func(*testing.T, *record) ([]byte, error){"file": l.fetch, "pipe": l.fetchPipe} {
				l.proxy.Set(rules...)
				if _, err := fetch(t, r); err != nil {
					t.Errorf("to a %s: %v", how, err)
				}
				l.proxy.Set(append(rules, s3test.Rule{Ops: []s3test.Op{s3test.GetObject}, Fault: s3test.FlipResponse(500)})...)
				if _, err := fetch(t, r); err == nil || !strings.Contains(err.Error(), name) {
					t.Errorf("damaged, to a %s: got %v", how, err)
				}
			}
		})
	}
}

// TestInParts has objects that were uploaded in parts, to a server that keeps what S3
// keeps of them.
func TestInParts(t *testing.T) {
	l := newLab(t, s3test.Versity)
	content := bytesOf(6 << 20)
	for _, c := range []struct {
		algorithm types.ChecksumAlgorithm
		kind      types.ChecksumType
	}{
		{types.ChecksumAlgorithmCrc64nvme, types.ChecksumTypeFullObject},
		{types.ChecksumAlgorithmCrc32c, types.ChecksumTypeComposite},
	} {
		key := fmt.Sprintf("%s-%s", c.algorithm, c.kind)
		l.putParts(t, key, content, []int{5 << 20}, c.algorithm, c.kind)
		r := l.record(t, key)
		for how, fetch := range map[string]func(*testing.T, *record) ([]byte, error){"file": l.fetch, "pipe": l.fetchPipe} {
			l.proxy.Set()
			if got, err := fetch(t, r); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s to a %s: got %d bytes, %v", key, how, len(got), err)
			}
			l.proxy.Set(s3test.Rule{Ops: []s3test.Op{s3test.GetObject}, Times: 1, Fault: s3test.FlipResponse(500)})
			if _, err := fetch(t, r); err == nil || !strings.Contains(err.Error(), "its bytes are not those") {
				t.Errorf("%s, damaged, to a %s: got %v", key, how, err)
			}
		}
	}
}

// TestInUnlikeParts has parts of which as many as there are would hold the object if they
// were as large as the first. Nothing says where each ends, so nothing is compared.
func TestInUnlikeParts(t *testing.T) {
	l := newLab(t, s3test.Versity)
	const mib = 1 << 20
	content := bytesOf(18*mib + 1) // the last part is as if all were alike, too
	l.putParts(t, "k", content, []int{6 * mib, 7 * mib, 5 * mib}, types.ChecksumAlgorithmCrc32, types.ChecksumTypeComposite)
	if got, err := l.fetch(t, l.record(t, "k")); err != nil || !bytes.Equal(got, content) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

// TestPartsUnknown has a service that stores checksums of parts, and does not know of a
// HEAD of a part.
func TestPartsUnknown(t *testing.T) {
	l := newLab(t, s3test.Versity)
	content := bytesOf(6 << 20)
	l.putParts(t, "k", content, []int{5 << 20}, types.ChecksumAlgorithmCrc32, types.ChecksumTypeComposite)
	r := l.record(t, "k")
	l.g.rangeSize = 8 << 20 // so that the only HEAD is of a part
	l.proxy.Set(s3test.Rule{Ops: []s3test.Op{s3test.HeadObject}, Fault: s3test.Refuse(501, "NotImplemented", "no part numbers")})
	if got, err := l.fetch(t, r); err != nil || !bytes.Equal(got, content) || l.proxy.Struck() == 0 {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

// putParts uploads an object as other programs do. The last of sizes is that of all other
// parts.
func (l *lab) putParts(t *testing.T, key string, content []byte, sizes []int, algorithm types.ChecksumAlgorithm, kind types.ChecksumType) {
	t.Helper()
	begun, err := l.g.c.CreateMultipartUpload(t.Context(), &sdk.CreateMultipartUploadInput{Bucket: aws.String("bkt"), Key: &key, ChecksumAlgorithm: algorithm, ChecksumType: kind})
	if err != nil {
		t.Fatal(err)
	}
	var done types.CompletedMultipartUpload
	for number := int32(1); len(content) > 0; number++ {
		part := content[:min(sizes[min(int(number), len(sizes))-1], len(content))]
		content = content[len(part):]
		out, err := l.g.c.UploadPart(t.Context(), &sdk.UploadPartInput{Bucket: aws.String("bkt"), Key: &key, UploadId: begun.UploadId,
			PartNumber: &number, Body: bytes.NewReader(part), ChecksumAlgorithm: algorithm})
		if err != nil {
			t.Fatal(err)
		}
		done.Parts = append(done.Parts, types.CompletedPart{PartNumber: &number, ETag: out.ETag,
			ChecksumCRC32: out.ChecksumCRC32, ChecksumCRC32C: out.ChecksumCRC32C, ChecksumCRC64NVME: out.ChecksumCRC64NVME, ChecksumSHA256: out.ChecksumSHA256})
	}
	if _, err := l.g.c.CompleteMultipartUpload(t.Context(), &sdk.CompleteMultipartUploadInput{Bucket: aws.String("bkt"), Key: &key, UploadId: begun.UploadId, MultipartUpload: &done, ChecksumType: kind}); err != nil {
		t.Fatal(err)
	}
}

// TestEncrypted has an object whose ETag looks like an MD5 and is none.
func TestEncrypted(t *testing.T) {
	l := newLab(t, s3test.Fake)
	l.SetKMS(true)
	content := bytesOf(1000)
	l.Put(t, "bkt", "k", content)
	r := l.record(t, "k")
	for how, fetch := range map[string]func(*testing.T, *record) ([]byte, error){"file": l.fetch, "pipe": l.fetchPipe} {
		if got, err := fetch(t, r); err != nil || !bytes.Equal(got, content) {
			t.Errorf("to a %s: got %d bytes, %v", how, len(got), err)
		}
	}
}
