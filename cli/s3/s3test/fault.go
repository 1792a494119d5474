package s3test

import (
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Fault is what goes wrong with a request. Its zero value is nothing.
type Fault struct {
	// request changes the request, and reports whether it has answered it; response changes
	// the answer. One of them is set.
	request  func(x *exchange) (answered bool)
	response func(x *exchange, resp *http.Response)
	// least is how many bytes the body of the request, or of the answer, has at least: it
	// could not happen to a shorter one.
	least int64
}

// exchange is one request under way through a Proxy.
type exchange struct {
	w        http.ResponseWriter
	r        *http.Request // its body may be replaced
	conn     *net.TCPConn  // the client's
	quit     <-chan struct{}
	rules    []*ruling
	call     Call
	happened func() // a fault did
}

// reset ends the client's connection with a RST.
func (x *exchange) reset() {
	_ = x.conn.SetLinger(0) // tcp(7): what is not sent is thrown away
	panic(http.ErrAbortHandler)
}

// Refuse answers with an error of S3 in place of the server. The body of the request
// is read to its end, so that the client sees the answer.
func Refuse(status int, code, message string) Fault {
	return Fault{request: func(x *exchange) bool {
		x.happened()
		_, _ = io.Copy(io.Discard, x.r.Body) // how it ends makes no difference
		x.w.Header().Set("Content-Type", "application/xml")
		x.w.WriteHeader(status)
		if x.r.Method != http.MethodHead {
			type answer struct {
				XMLName struct{} `xml:"Error"`
				Code    string
				Message string
			}
			b, _ := xml.Marshal(answer{Code: code, Message: message}) // two strings
			fmt.Fprintf(x.w, "%s%s", xml.Header, b)
		}
		return true
	}}
}

// SlowDown is how S3 asks for fewer requests ("Error responses" in the Amazon S3 API
// Reference).
func SlowDown() Fault {
	return Refuse(http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
}

// InternalError is a failure of S3's own, which it asks to retry.
func InternalError() Fault {
	return Refuse(http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again.")
}

// ExpiredToken is what S3 answers when temporary credentials have run out: with status
// 400, by the same reference.
func ExpiredToken() Fault {
	return Refuse(http.StatusBadRequest, "ExpiredToken", "The provided token has expired.")
}

// AccessDenied is what S3 answers a request that the user may not make.
func AccessDenied() Fault {
	return Refuse(http.StatusForbidden, "AccessDenied", "Access Denied")
}

// Archived is what S3 answers to a GET of an object in an archive, such as Glacier.
func Archived() Fault {
	return Refuse(http.StatusForbidden, "InvalidObjectState", "The operation is not valid for the object's storage class")
}

// WrongRegion is what S3 answers to a request that is signed for another region than
// that of the bucket.
func WrongRegion(region string) Fault {
	refuse := Refuse(http.StatusMovedPermanently, "PermanentRedirect", "The bucket you are attempting to access must be addressed using the specified endpoint.")
	return Fault{request: func(x *exchange) bool {
		x.w.Header().Set("X-Amz-Bucket-Region", region)
		return refuse.request(x)
	}}
}

// LateError is an error in an answer whose status is 200, as that to a
// CompleteMultipartUpload or a CopyObject may be: S3 sends the status before it knows
// ("CompleteMultipartUpload" in the Amazon S3 API Reference).
func LateError() Fault {
	return Refuse(http.StatusOK, "InternalError", "We encountered an internal error. Please try again.")
}

// Delay waits before the request is passed on.
func Delay(d time.Duration) Fault {
	return Fault{request: func(x *exchange) bool {
		x.happened()
		select {
		case <-time.After(d):
		case <-x.quit:
		case <-x.r.Context().Done():
		}
		return false
	}}
}

// Before calls f before the request is passed on, for instance to change the object. f
// may be called by several goroutines at once.
func Before(f func()) Fault {
	return Fault{request: func(x *exchange) bool { x.happened(); f(); return false }}
}

// CutResponse resets the connection after so many bytes of the response's body.
func CutResponse(at int64) Fault {
	return onResponse(at, func(x *exchange, body io.ReadCloser) io.ReadCloser {
		return &brokenBody{ReadCloser: body, left: at, end: func() { x.happened(); x.reset() }}
	})
}

// CutRequest resets the connection after so many bytes of the request's body, which is
// in the encoding in which the client sends it.
func CutRequest(at int64) Fault {
	return Fault{least: at + 1, request: func(x *exchange) bool {
		x.r.Body = &brokenBody{ReadCloser: x.r.Body, left: at, end: x.happened}
		return false
	}}
}

// StallResponse passes so many bytes of the response's body, and then nothing until the
// client goes away or the proxy is closed.
func StallResponse(at int64) Fault {
	return onResponse(at, func(x *exchange, body io.ReadCloser) io.ReadCloser {
		return &brokenBody{ReadCloser: body, left: at, end: func() {
			x.happened()
			select {
			case <-x.quit:
			case <-x.r.Context().Done():
			}
		}}
	})
}

// FlipResponse changes one bit of the byte at an offset of the response's body.
func FlipResponse(at int64) Fault {
	return onResponse(at, func(x *exchange, body io.ReadCloser) io.ReadCloser { return flip(body, at, x.happened) })
}

// FlipRequest changes one bit of the byte at an offset of the request's body, which is
// in the encoding in which the client sends it.
func FlipRequest(at int64) Fault {
	return Fault{least: at + 1, request: func(x *exchange) bool { x.r.Body = flip(x.r.Body, at, x.happened); return false }}
}

// onResponse wraps the bodies of answers that have a byte at an offset.
func onResponse(at int64, wrap func(x *exchange, body io.ReadCloser) io.ReadCloser) Fault {
	return Fault{least: at + 1, response: func(x *exchange, resp *http.Response) { resp.Body = wrap(x, resp.Body) }}
}

// NoHeader removes the response's headers that begin with a prefix, in any case.
func NoHeader(prefix string) Fault {
	return editHeader(func(h http.Header) {
		for name := range h {
			if strings.HasPrefix(strings.ToLower(name), strings.ToLower(prefix)) {
				delete(h, name)
			}
		}
	})
}

// NoChecksums removes the checksums of objects from responses, as of objects that were
// stored without them.
func NoChecksums() Fault { return NoHeader("x-amz-checksum-") }

// SetHeader sets a header of the response.
func SetHeader(name, value string) Fault {
	return editHeader(func(h http.Header) { h.Set(name, value) })
}

func editHeader(f func(http.Header)) Fault {
	return Fault{response: func(x *exchange, resp *http.Response) {
		x.happened()
		f(resp.Header)
	}}
}
