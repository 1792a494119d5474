package sigv4

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// The examples of the Amazon S3 API Reference, "Signature Calculations for the
// Authorization Header: Transferring Payload in a Single Chunk".
func TestSign(t *testing.T) {
	c := Client{
		Endpoint: "https://examplebucket.s3.amazonaws.com", Region: "us-east-1",
		AccessKey: "AKIAIOSFODNN7EXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	}
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for what, x := range map[string]struct {
		req  Request
		want string
	}{
		"get an object": {
			Request{Method: "GET", Key: "test.txt", Header: http.Header{"Range": {"bytes=0-9"}}},
			"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
		},
		"put an object": {
			Request{Method: "PUT", Key: "test$file.text", Header: http.Header{
				"Date": {"Fri, 24 May 2013 00:00:00 GMT"}, "X-Amz-Storage-Class": {"REDUCED_REDUNDANCY"},
				"X-Amz-Content-Sha256": {"44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"},
			}},
			"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
		},
		"list": {
			Request{Method: "GET", Query: url.Values{"max-keys": {"2"}, "prefix": {"J"}}},
			"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
		},
	} {
		if x.req.Header == nil {
			x.req.Header = http.Header{}
		}
		if x.req.Header.Get("X-Amz-Content-Sha256") == "" {
			x.req.Header.Set("X-Amz-Content-Sha256", empty)
		}
		unsigned := c
		unsigned.AccessKey = ""
		req, err := unsigned.newRequest(t.Context(), x.req)
		if err != nil {
			t.Fatal(err)
		}
		// The examples have the bucket in the host name.
		req.URL.Path = "/" + x.req.Key
		req.URL.RawPath = escape(req.URL.Path, true)
		c.sign(req, time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC))
		if got := req.Header.Get("Authorization"); !strings.HasSuffix(got, "Signature="+x.want) {
			t.Errorf("%s: %s, want %s", what, got, x.want)
		}
	}
}
