package s3test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nathants/s4/cli/s3/s3test/sigv4"
)

// Kind is a program that Start starts.
type Kind string

// The kinds.
const (
	// Fake is gofakes3, in this process and in memory: it starts at once.
	Fake Kind = "gofakes3"
	// Versity is versitygw with its posix backend, a process of its own. A test that
	// cannot have it is skipped; with CI=true, it fails.
	Versity Kind = "versitygw"
)

// Server is a running S3 server. Its Do sends a plain request.
type Server struct {
	sigv4.Client
	Kind Kind
	Dir  string // of Versity: bucket/key below it are its files
	fake *memory
}

// Start starts a server with credentials of its own. It ends when the test ends.
func Start(tb testing.TB, kind Kind) *Server {
	tb.Helper()
	s := &Server{Kind: kind, Client: sigv4.Client{Region: "us-east-1", AccessKey: "TEST" + rand.Text(), SecretKey: rand.Text()}}
	switch kind {
	case Fake:
		s.startFake(tb)
	case Versity:
		s.startVersity(tb)
	default:
		tb.Fatalf("s3test: no server %q", kind)
	}
	return s
}

// Env is the variables by which programs find the server and its credentials, and no
// files of the user's.
func (s *Server) Env() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + s.Endpoint, "AWS_REGION=" + s.Region, "AWS_DEFAULT_REGION=" + s.Region,
		"AWS_ACCESS_KEY_ID=" + s.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s.SecretKey, "AWS_SESSION_TOKEN=" + s.Token,
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true",
	}
}

// Environ is the environment of this process with Env in place of all that the user has
// set for S3.
func (s *Server) Environ() []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	return append(env, s.Env()...)
}

// send sends a request that must succeed, and returns the headers and the body of the
// answer.
func (s *Server) send(tb testing.TB, r sigv4.Request) (http.Header, []byte) {
	tb.Helper()
	// Not the test's context: it has ended when cleanups ask.
	resp, err := s.Do(context.WithoutCancel(tb.Context()), r)
	if err != nil {
		tb.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		tb.Fatal(err)
	}
	return resp.Header, body
}

// MakeBucket makes a bucket.
func (s *Server) MakeBucket(tb testing.TB, bucket string) {
	tb.Helper()
	s.send(tb, sigv4.Request{Method: http.MethodPut, Bucket: bucket})
}

// Put stores an object in a single put, and returns its headers. Those that are sent
// are pairs of name and value.
func (s *Server) Put(tb testing.TB, bucket, key string, content []byte, header ...string) http.Header {
	tb.Helper()
	h, _ := s.send(tb, sigv4.Request{
		Method: http.MethodPut, Bucket: bucket, Key: key, Header: headers(header), Body: bytes.NewReader(content), Size: int64(len(content)),
	})
	return h
}

// headers makes a header of pairs.
func headers(pairs []string) http.Header {
	h := make(http.Header)
	for i := 0; i+1 < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

func unmarshal(tb testing.TB, body []byte, into any) {
	tb.Helper()
	if err := xml.Unmarshal(body, into); err != nil {
		tb.Fatalf("s3test: %v in %q", err, body)
	}
}

// Get returns the content of an object, and its headers with the checksums that are
// stored.
func (s *Server) Get(tb testing.TB, bucket, key string) ([]byte, http.Header) {
	tb.Helper()
	h, body := s.send(tb, sigv4.Request{Method: http.MethodGet, Bucket: bucket, Key: key, Header: withChecksum()})
	return body, h
}

// Head returns the headers of an object with the checksums that are stored.
func (s *Server) Head(tb testing.TB, bucket, key string) http.Header {
	tb.Helper()
	h, _ := s.send(tb, sigv4.Request{Method: http.MethodHead, Bucket: bucket, Key: key, Header: withChecksum()})
	return h
}

func withChecksum() http.Header { return headers([]string{"X-Amz-Checksum-Mode", "ENABLED"}) }

// Delete removes an object, or does nothing if there is none.
func (s *Server) Delete(tb testing.TB, bucket, key string) {
	tb.Helper()
	s.send(tb, sigv4.Request{Method: http.MethodDelete, Bucket: bucket, Key: key})
}

// Object is an entry of a list.
type Object struct {
	Key  string
	Size int64
	ETag string
}

// List returns the objects below a prefix, in the order of their keys.
func (s *Server) List(tb testing.TB, bucket, prefix string) (list []Object) {
	tb.Helper()
	q := url.Values{"list-type": {"2"}, "prefix": {prefix}, "encoding-type": {"url"}}
	for {
		var page struct {
			Contents              []Object
			IsTruncated           bool
			NextContinuationToken string
			EncodingType          string // of keys, where the server encodes them
		}
		_, body := s.send(tb, sigv4.Request{Method: http.MethodGet, Bucket: bucket, Query: q})
		unmarshal(tb, body, &page)
		for _, o := range page.Contents {
			if page.EncodingType == "url" {
				key, err := url.QueryUnescape(o.Key)
				if err != nil {
					tb.Fatalf("s3test: list of %s: %v", bucket, err)
				}
				o.Key = key
			}
			list = append(list, o)
		}
		if !page.IsTruncated {
			return list
		}
		q.Set("continuation-token", page.NextContinuationToken)
	}
}

// Uploads returns the keys of the multipart uploads that are neither completed nor
// aborted.
func (s *Server) Uploads(tb testing.TB, bucket string) (keys []string) {
	tb.Helper()
	var page struct {
		Upload []struct{ Key string }
	}
	_, body := s.send(tb, sigv4.Request{Method: http.MethodGet, Bucket: bucket, Query: url.Values{"uploads": {""}}})
	unmarshal(tb, body, &page)
	for _, u := range page.Upload {
		keys = append(keys, u.Key)
	}
	return keys
}
