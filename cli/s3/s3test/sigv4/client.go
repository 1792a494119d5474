package sigv4

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client sends requests to one S3 server, with bucket names in the path. It may be
// used by several goroutines at once.
type Client struct {
	Endpoint  string // http://host:port
	Region    string
	AccessKey string // empty sends requests without a signature
	SecretKey string
	Token     string       // of a session, or empty
	HTTP      *http.Client // nil is http.DefaultClient
}

// Request is one request.
type Request struct {
	Method string
	Bucket string // empty is the list of buckets
	Key    string // not escaped; empty is the bucket
	Query  url.Values
	Header http.Header // sent, and signed
	Body   io.Reader
	Size   int64 // of Body in bytes
}

// Error is an answer that says that a request failed.
type Error struct {
	Status    int
	Code      string `xml:"Code"` // empty where the answer has no body, as to a HEAD
	Message   string `xml:"Message"`
	Operation string // method and path
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s: %d %s: %s", e.Operation, e.Status, e.Code, e.Message)
}

// maxError is how much of an answer that is an error is read.
const maxError = 64 << 10

// Do sends a request. The caller closes the body of the response. An answer whose
// status is 300 or more is an *Error.
func (c *Client) Do(ctx context.Context, r Request) (*http.Response, error) {
	req, err := c.newRequest(ctx, r)
	if err != nil {
		return nil, err
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil || resp.StatusCode < 300 {
		return resp, err
	}
	defer resp.Body.Close()
	failed := &Error{}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxError))
	if err != nil {
		return nil, fmt.Errorf("%s: read a %d: %w", req.Method+" "+req.URL.Path, resp.StatusCode, err)
	}
	_ = xml.Unmarshal(body, failed) // what is no XML has no code
	failed.Status, failed.Operation = resp.StatusCode, req.Method+" "+req.URL.Path
	return nil, failed
}

func (c *Client) newRequest(ctx context.Context, r Request) (*http.Request, error) {
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, err
	}
	u.Path = strings.TrimSuffix("/"+r.Bucket+"/"+r.Key, "/")
	if r.Key != "" {
		u.Path = "/" + r.Bucket + "/" + r.Key // which may end in a slash
	}
	if u.Path == "" {
		u.Path = "/"
	}
	u.RawPath = escape(u.Path, true)
	u.RawQuery = canonicalQuery(r.Query)
	req, err := http.NewRequestWithContext(ctx, r.Method, u.String(), r.Body)
	if err != nil {
		return nil, err
	}
	if r.Body != nil {
		req.ContentLength = r.Size
		if r.Size == 0 {
			req.Body = http.NoBody
		}
	}
	for name, values := range r.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	if c.AccessKey != "" {
		c.sign(req, time.Now())
	}
	return req, nil
}
