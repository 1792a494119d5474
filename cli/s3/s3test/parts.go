package s3test

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"github.com/nathants/s4/cli/s3/s3test/sigv4"
)

// Checksum returns the checksum of content as S3 has it in headers, base64 of its bytes
// in network order. Its name is CRC32, CRC32C, CRC64NVME, SHA1 or SHA256.
func Checksum(tb testing.TB, name string, content []byte) string {
	tb.Helper()
	var h hash.Hash
	switch name {
	case "CRC32":
		h = crc32.NewIEEE()
	case "CRC32C":
		h = crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "CRC64NVME":
		// The reversed polynomial of the NVM Command Set Specification, "64b CRC".
		h = crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5))
	case "SHA1":
		h = sha1.New()
	case "SHA256":
		h = sha256.New()
	default:
		tb.Fatalf("s3test: no checksum %q", name)
	}
	h.Write(content)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// PutParts stores an object as a multipart upload of these parts, and returns its
// ETag. Headers are of the request that creates it, as of Put. With
// X-Amz-Checksum-Algorithm among them, each part has such a checksum, and the object one
// of X-Amz-Checksum-Type, which is COMPOSITE or FULL_OBJECT.
func (s *Server) PutParts(tb testing.TB, bucket, key string, parts [][]byte, header ...string) string {
	tb.Helper()
	var created struct{ UploadId string }
	asked := headers(header)
	algorithm := asked.Get("X-Amz-Checksum-Algorithm")
	_, body := s.send(tb, sigv4.Request{Method: http.MethodPost, Bucket: bucket, Key: key, Query: url.Values{"uploads": {""}}, Header: asked})
	unmarshal(tb, body, &created)

	type checksum struct {
		XMLName xml.Name
		Value   string `xml:",chardata"`
	}
	type part struct {
		PartNumber int
		ETag       string
		Checksum   *checksum
	}
	var done struct {
		XMLName struct{} `xml:"CompleteMultipartUpload"`
		Part    []part
	}
	for i, content := range parts {
		p := part{PartNumber: i + 1}
		header := make(http.Header)
		if algorithm != "" {
			p.Checksum = &checksum{xml.Name{Local: "Checksum" + algorithm}, Checksum(tb, algorithm, content)}
			header.Set("X-Amz-Checksum-"+algorithm, p.Checksum.Value)
		}
		h, _ := s.send(tb, sigv4.Request{
			Method: http.MethodPut, Bucket: bucket, Key: key, Header: header, Body: bytes.NewReader(content), Size: int64(len(content)),
			Query: url.Values{"partNumber": {strconv.Itoa(p.PartNumber)}, "uploadId": {created.UploadId}},
		})
		p.ETag = h.Get("ETag")
		done.Part = append(done.Part, p)
	}
	b, err := xml.Marshal(done)
	if err != nil {
		tb.Fatal(err)
	}
	complete := make(http.Header)
	if kind := asked.Get("X-Amz-Checksum-Type"); kind != "" {
		complete.Set("X-Amz-Checksum-Type", kind)
	}
	var completed struct{ ETag string }
	_, body = s.send(tb, sigv4.Request{
		Method: http.MethodPost, Bucket: bucket, Key: key, Header: complete, Body: bytes.NewReader(b), Size: int64(len(b)),
		Query: url.Values{"uploadId": {created.UploadId}},
	})
	unmarshal(tb, body, &completed)
	if completed.ETag == "" {
		tb.Fatalf("s3test: %s/%s was not completed: %q", bucket, key, body)
	}
	return completed.ETag
}
