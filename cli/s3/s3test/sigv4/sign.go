package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Names of the specification, "Authenticating Requests: Using the Authorization
// Header (AWS Signature Version 4)" in the Amazon S3 API Reference.
const (
	algorithm       = "AWS4-HMAC-SHA256"
	unsignedPayload = "UNSIGNED-PAYLOAD"
	timeFormat      = "20060102T150405Z"
)

// sign adds the signature of all headers that are set to a request. A body is not
// part of it, unless its X-Amz-Content-Sha256 is set.
func (c *Client) sign(req *http.Request, now time.Time) {
	stamp := now.UTC().Format(timeFormat)
	day := stamp[:8]
	h := req.Header
	h.Set("X-Amz-Date", stamp)
	if h.Get("X-Amz-Content-Sha256") == "" {
		h.Set("X-Amz-Content-Sha256", unsignedPayload)
	}
	if c.Token != "" {
		h.Set("X-Amz-Security-Token", c.Token)
	}
	names, lines := canonicalHeaders(req)
	request := strings.Join([]string{
		req.Method, req.URL.EscapedPath(), req.URL.RawQuery, lines, names, h.Get("X-Amz-Content-Sha256"),
	}, "\n")
	scope := strings.Join([]string{day, c.Region, "s3", "aws4_request"}, "/")
	sum := sha256.Sum256([]byte(request))
	text := strings.Join([]string{algorithm, stamp, scope, hex.EncodeToString(sum[:])}, "\n")
	key := []byte("AWS4" + c.SecretKey)
	for _, part := range []string{day, c.Region, "s3", "aws4_request"} {
		key = mac(key, part)
	}
	h.Set("Authorization", algorithm+" Credential="+c.AccessKey+"/"+scope+", SignedHeaders="+names+", Signature="+hex.EncodeToString(mac(key, text)))
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// canonicalHeaders returns the names of all headers and the lines that are signed.
func canonicalHeaders(req *http.Request) (names, lines string) {
	values := map[string]string{"host": req.URL.Host}
	for name, v := range req.Header {
		values[strings.ToLower(name)] = strings.TrimSpace(strings.Join(v, ","))
	}
	var list []string
	for name := range values {
		list = append(list, name)
	}
	slices.Sort(list)
	for _, name := range list {
		lines += name + ":" + values[name] + "\n"
	}
	return strings.Join(list, ";"), lines
}

// canonicalQuery returns the query as it is signed, which is a valid one to send.
func canonicalQuery(q url.Values) string {
	var list []string
	for name, values := range q {
		for _, v := range values {
			list = append(list, escape(name, false)+"="+escape(v, false))
		}
	}
	slices.Sort(list)
	return strings.Join(list, "&")
}

// escape is the UriEncode of the specification: all bytes but A-Z, a-z, 0-9, '-',
// '.', '_' and '~', and in a path '/'.
func escape(s string, path bool) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0, path && c == '/':
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
		}
	}
	return b.String()
}
