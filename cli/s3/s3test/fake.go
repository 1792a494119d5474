package s3test

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"
)

// startFake starts gofakes3: the one that rclone serves S3 with, which verifies what it
// is sent.
func (s *Server) startFake(tb testing.TB) {
	fake := gofakes3.New(memory{s3mem.New()}, gofakes3.WithV4Auth(map[string]string{s.AccessKey: s.SecretKey}))
	server := httptest.NewServer(fake.Server())
	tb.Cleanup(server.Close)
	s.Endpoint = server.URL
}

// memory takes an empty delimiter for none, as S3 does: clients send one.
type memory struct{ *s3mem.Backend }

func (m memory) ListBucket(ctx context.Context, name string, prefix *gofakes3.Prefix, page gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	return m.Backend.ListBucket(ctx, name, delimited(prefix), page)
}

func (m memory) ListBucketVersions(name string, prefix *gofakes3.Prefix, page *gofakes3.ListBucketVersionsPage) (*gofakes3.ListBucketVersionsResult, error) {
	return m.Backend.ListBucketVersions(name, delimited(prefix), page)
}

func delimited(p *gofakes3.Prefix) *gofakes3.Prefix {
	if p == nil || p.Delimiter != "" {
		return p
	}
	none := *p
	none.HasDelimiter = false
	return &none
}
