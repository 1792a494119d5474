package s3test

import (
	"net/http/httptest"
	"testing"

	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"
)

// startFake starts gofakes3: the one that rclone serves S3 with, which verifies what it
// is sent.
func (s *Server) startFake(tb testing.TB) {
	fake := gofakes3.New(s3mem.New(), gofakes3.WithV4Auth(map[string]string{s.AccessKey: s.SecretKey}))
	server := httptest.NewServer(fake.Server())
	tb.Cleanup(server.Close)
	s.Endpoint = server.URL
}
