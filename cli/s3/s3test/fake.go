package s3test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"
)

// startFake starts gofakes3: the one that rclone serves S3 with, which verifies what it
// is sent.
func (s *Server) startFake(tb testing.TB) {
	s.fake = &memory{Backend: s3mem.New()}
	handler := gofakes3.New(s.fake, gofakes3.WithV4Auth(map[string]string{s.AccessKey: s.SecretKey})).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.fake.kms.Load() {
			w.Header().Set("X-Amz-Server-Side-Encryption", "aws:kms")
		}
		handler.ServeHTTP(w, r)
	}))
	tb.Cleanup(server.Close)
	s.Endpoint = server.URL
}

// SetPageSize makes a Fake list at most n objects a page, whatever it is asked for: S3
// has at most 1,000, and may have fewer.
func (s *Server) SetPageSize(n int) { s.fake.pageSize.Store(int64(n)) }

// SetKMS makes the objects of a Fake look as if they were encrypted with a key of KMS:
// their ETag is not the MD5 of their content ("Checking object integrity" in the Amazon
// S3 User Guide), though it looks like one.
func (s *Server) SetKMS(on bool) { s.fake.kms.Store(on) }

// memory is a backend that may do what S3 does and gofakes3 does not.
type memory struct {
	*s3mem.Backend
	pageSize atomic.Int64 // 0 is as asked for
	kms      atomic.Bool
}

func (m *memory) ListBucket(ctx context.Context, name string, prefix *gofakes3.Prefix, page gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	if n := m.pageSize.Load(); n > 0 {
		page.MaxKeys = min(page.MaxKeys, n)
	}
	list, err := m.Backend.ListBucket(ctx, name, delimited(prefix), page)
	if err == nil && m.kms.Load() {
		for _, o := range list.Contents {
			sum, _ := hex.DecodeString(strings.Trim(o.ETag, `"`)) // which it has encoded
			o.ETag = `"` + hex.EncodeToString(other(sum)) + `"`
		}
	}
	return list, err
}

func (m *memory) ListBucketVersions(name string, prefix *gofakes3.Prefix, page *gofakes3.ListBucketVersionsPage) (*gofakes3.ListBucketVersionsResult, error) {
	return m.Backend.ListBucketVersions(name, delimited(prefix), page)
}

func (m *memory) HeadObject(ctx context.Context, bucket, key string) (*gofakes3.Object, error) {
	o, err := m.Backend.HeadObject(ctx, bucket, key)
	return m.encrypted(o), err
}

func (m *memory) GetObject(ctx context.Context, bucket, key string, r *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	o, err := m.Backend.GetObject(ctx, bucket, key, r)
	return m.encrypted(o), err
}

// encrypted is an object as it is seen: it may be nil.
func (m *memory) encrypted(o *gofakes3.Object) *gofakes3.Object {
	if o == nil || !m.kms.Load() {
		return o
	}
	seen := *o
	seen.Hash = other(o.Hash)
	return &seen
}

// other is an ETag in place of another.
func other(sum []byte) []byte {
	another := md5.Sum(sum)
	return another[:]
}

// delimited takes an empty delimiter, which clients send, for none, as S3 does.
func delimited(p *gofakes3.Prefix) *gofakes3.Prefix {
	if p == nil || p.Delimiter != "" {
		return p
	}
	none := *p
	none.HasDelimiter = false
	return &none
}
