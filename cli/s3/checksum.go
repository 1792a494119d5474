package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// checksum is what S3 has stored of an object, to compare what was fetched with. A nil
// *checksum compares nothing.
type checksum struct {
	name string
	want []byte
	crc  *crcKind         // or nil
	hash func() hash.Hash // if crc is nil
	part int64            // of which the checksum is one of checksums: the size of all parts but the last; else 0

	// alike, with part, asks whether the parts are in fact all of that size.
	alike func() (bool, error)
}

// facts are the fields of an answer to GET or HEAD that say what is stored.
type facts struct {
	crc64, crc32c, crc32, sha256, sha1 *string // in base64
	kind                               types.ChecksumType
	etag                               string
	encrypted                          bool // so that its ETag is no MD5
}

func factsOfGet(o *sdk.GetObjectOutput) facts {
	return facts{o.ChecksumCRC64NVME, o.ChecksumCRC32C, o.ChecksumCRC32, o.ChecksumSHA256, o.ChecksumSHA1,
		o.ChecksumType, aws.ToString(o.ETag), isEncrypted(o.ServerSideEncryption, o.SSECustomerAlgorithm)}
}

func factsOfHead(o *sdk.HeadObjectOutput) facts {
	return facts{o.ChecksumCRC64NVME, o.ChecksumCRC32C, o.ChecksumCRC32, o.ChecksumSHA256, o.ChecksumSHA1,
		o.ChecksumType, aws.ToString(o.ETag), isEncrypted(o.ServerSideEncryption, o.SSECustomerAlgorithm)}
}

// isEncrypted reports whether an object is encrypted with keys of KMS or the customer.
func isEncrypted(sse types.ServerSideEncryption, customer *string) bool {
	return sse != "" && sse != types.ServerSideEncryptionAes256 || customer != nil
}

// checksum returns the best checksum that an object of these facts has, nil if there is
// none. For one of parts it asks how large they are.
func (g *getter) checksum(ctx context.Context, r *record, f facts) (*checksum, error) {
	for _, c := range []struct {
		value *string
		crc   *crcKind
		hash  func() hash.Hash
		name  string
	}{
		{f.crc64, crc64NVMe, nil, "CRC64NVME"},
		{f.crc32c, crc32C, nil, "CRC32C"},
		{f.crc32, crc32IEEE, nil, "CRC32"},
		{f.sha256, nil, sha256.New, "SHA256"},
		{f.sha1, nil, sha1.New, "SHA1"},
	} {
		if c.value == nil {
			continue
		}
		value, count, composite := strings.Cut(*c.value, "-")
		want, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			continue
		}
		sum := &checksum{name: c.name, want: want, crc: c.crc, hash: c.hash}
		if composite || f.kind == types.ChecksumTypeComposite {
			if sum.part, err = g.partSize(ctx, r, count); err != nil {
				return nil, err
			}
			if sum.part == 0 {
				continue
			}
			sum.alike = func() (bool, error) { return g.alike(ctx, r, sum.part) }
		}
		return sum, nil
	}
	// The ETag is an MD5 if it looks so, unless the object is encrypted, or in a bucket
	// of one zone ("Checking object integrity" in the S3 User Guide).
	want, err := hex.DecodeString(strings.Trim(f.etag, `"`))
	if err == nil && len(want) == md5.Size && !f.encrypted && !strings.HasSuffix(r.Bucket, "--x-s3") {
		return &checksum{name: "MD5", want: want, hash: md5.New}, nil
	}
	return nil, nil
}

// partSize returns the size of the parts that an object was uploaded in, of which there
// are count, a number; 0 if they cannot all be alike, so that nobody knows where they end.
func (g *getter) partSize(ctx context.Context, r *record, count string) (int64, error) {
	part, err := g.sizeOfPart(ctx, r, 1)
	switch statusOf(err) {
	case http.StatusMethodNotAllowed, http.StatusRequestedRangeNotSatisfiable, http.StatusNotImplemented:
		return 0, nil // of a service that has no such thing
	}
	if err != nil {
		return 0, err
	}
	parts, err := strconv.ParseInt(count, 10, 32)
	if err != nil || part <= 0 || (r.Size+part-1)/part != parts {
		return 0, nil
	}
	return part, nil
}

// sizeOfPart returns the size of one of the parts that an object was uploaded in.
func (g *getter) sizeOfPart(ctx context.Context, r *record, number int32) (int64, error) {
	out, err := g.c.HeadObject(ctx, &sdk.HeadObjectInput{Bucket: &r.Bucket, Key: &r.Key, IfMatch: r.ifMatch(), PartNumber: &number})
	if err != nil {
		return 0, err
	}
	return aws.ToInt64(out.ContentLength), nil
}

// errUnlike is a part of another size than the first.
var errUnlike = errors.New("parts are of different sizes")

// alike reports whether all parts of an object, but the last, are of a size. It asks for
// each: that is only worth it if bytes seem to be damaged.
func (g *getter) alike(ctx context.Context, r *record, part int64) (bool, error) {
	err := eachOf(ctx, int((r.Size-1)/part), cap(g.slots), func(ctx context.Context, i int) error {
		size, err := g.sizeOfPart(ctx, r, int32(i+1))
		if err == nil && size != part {
			err = errUnlike
		}
		return err
	})
	if err == errUnlike {
		return false, nil
	}
	return err == nil, err
}

// summer compares an object that it is given in order.
type summer struct {
	*checksum
	sum   uint64    // of the CRC
	h     hash.Hash // if it is none
	left  int64     // to the end of the part
	parts []byte    // checksums of the parts
}

// summer returns one, nil for a nil checksum.
func (c *checksum) summer() *summer {
	if c == nil {
		return nil
	}
	s := &summer{checksum: c, left: c.part}
	if c.crc == nil {
		s.h = c.hash()
	}
	return s
}

// Write takes the next bytes. It does not fail.
func (s *summer) Write(p []byte) (int, error) {
	if s == nil {
		return len(p), nil
	}
	n := len(p)
	for s.part > 0 && int64(len(p)) >= s.left {
		s.add(p[:s.left])
		p, s.left = p[s.left:], s.part
		s.endPart()
	}
	s.left -= int64(len(p))
	s.add(p)
	return n, nil
}

func (s *summer) add(p []byte) {
	if s.crc != nil {
		s.sum = s.crc.update(s.sum, p)
		return
	}
	s.h.Write(p)
}

func (s *summer) endPart() {
	s.parts = append(s.parts, s.end()...)
	s.sum = 0
	if s.h != nil {
		s.h.Reset()
	}
}

// end returns the checksum of what came since the beginning, or the last part.
func (s *summer) end() []byte {
	if s.crc != nil {
		return s.crc.bytes(s.sum)
	}
	return s.h.Sum(nil)
}

// check returns an error if what came is not what S3 has.
func (s *summer) check() error {
	if s == nil {
		return nil
	}
	got := s.end()
	if s.part > 0 {
		if s.left < s.part {
			s.endPart()
		}
		all := &checksum{crc: s.crc, hash: s.hash}
		whole := all.summer()
		whole.add(s.parts)
		got = whole.end()
	}
	err := s.compare(got)
	if err != nil && s.alike != nil {
		if alike, aerr := s.alike(); !alike {
			return aerr // nil if nobody knows where the parts end
		}
	}
	return err
}

// compare returns an error if got is not the checksum.
func (c *checksum) compare(got []byte) error {
	if bytes.Equal(got, c.want) {
		return nil
	}
	return &checksumError{fmt.Sprintf("its bytes are not those that S3 has stored: %s %x in place of %x", c.name, got, c.want)}
}

// checksumError is a checksum that differs.
type checksumError struct{ text string }

func (e *checksumError) Error() string { return e.text }
