package s3

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sys/unix"
)

const (
	// partSize is the size of a part of an upload, unless there would be more than
	// maxParts ("Amazon S3 multipart upload limits" in the S3 User Guide).
	partSize = 16 << 20
	maxParts = 10000

	// sumMeta is the metadata that has the xxh64 of the key, and sumAttr the attribute of
	// a key's file that it comes from: sixteen hexadecimal digits.
	sumMeta = "s4-xxh64"
	sumAttr = "user.s4.xxh64"
)

// putter uploads files. Its methods may be called by any goroutine.
type putter struct {
	c         *sdk.Client
	slots     chan struct{} // has an element for each upload of an object or part under way
	resume    bool          // skip objects that are the same
	noClobber bool          // skip objects that exist
	buffers   sync.Pool     // of *[]byte, of bodyBuffer
	partSize  int64
}

func newPutter(c *sdk.Client, parallel int) *putter {
	return &putter{c: c, slots: make(chan struct{}, max(parallel, 1)), partSize: partSize,
		buffers: sync.Pool{New: func() any { b := make([]byte, bodyBuffer); return &b }}}
}

// source is a file to upload.
type source struct {
	f    io.ReaderAt
	size int64
	sum  string // xxh64 as s4 has stored it, or ""
}

// newSource returns f's content as it is now.
func newSource(f *os.File) (*source, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, errors.New("standard input is not a file")
	}
	s := &source{f: f, size: fi.Size()}
	attr := make([]byte, 17)
	if n, err := unix.Fgetxattr(int(f.Fd()), sumAttr, attr); err == nil && n == 16 {
		s.sum = string(attr[:n])
	}
	return s, nil
}

func (s *source) meta() map[string]string {
	if s.sum == "" {
		return nil
	}
	return map[string]string{sumMeta: s.sum}
}

// put uploads s, and reports whether it was not needed.
func (p *putter) put(ctx context.Context, s *source, bucket, key string) (skipped bool, err error) {
	if p.resume || p.noClobber {
		there, err := p.isThere(ctx, s, bucket, key)
		if there || err != nil {
			return there, err
		}
	}
	if s.size <= p.partSize {
		err = p.whole(ctx, s, bucket, key)
	} else {
		err = p.parts(ctx, s, bucket, key)
	}
	if p.noClobber && isPrecondition(err) {
		return true, nil // another has just written it
	}
	return false, err
}

// isThere reports whether an object is there that need not be written.
func (p *putter) isThere(ctx context.Context, s *source, bucket, key string) (bool, error) {
	out, err := p.c.HeadObject(ctx, &sdk.HeadObjectInput{Bucket: &bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		if isMissing(err) {
			return false, nil
		}
		return false, err
	}
	switch {
	case p.noClobber:
		return true, nil
	case aws.ToInt64(out.ContentLength) != s.size:
		return false, nil
	case out.Metadata[sumMeta] != "" && s.sum != "":
		return out.Metadata[sumMeta] == s.sum, nil
	case out.ChecksumCRC64NVME != nil:
		crc, err := p.crc(ctx, s, 0, s.size)
		return err == nil && *out.ChecksumCRC64NVME == inBase64(crc), err
	}
	return false, nil
}

// crc reads a part of the source.
func (p *putter) crc(ctx context.Context, s *source, off, n int64) (crc uint64, err error) {
	buf := p.buffers.Get().(*[]byte)
	defer p.buffers.Put(buf)
	for n > 0 {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		b := (*buf)[:min(int64(len(*buf)), n)]
		if _, err := s.f.ReadAt(b, off); err != nil {
			return 0, err
		}
		crc = crc64NVMe.update(crc, b)
		off, n = off+int64(len(b)), n-int64(len(b))
	}
	return crc, nil
}

func inBase64(crc uint64) string {
	return base64.StdEncoding.EncodeToString(crc64NVMe.bytes(crc))
}

// hold takes a slot. The caller calls the function it returns.
func (p *putter) hold(ctx context.Context) (release func(), err error) {
	select {
	case p.slots <- struct{}{}:
		return func() { <-p.slots }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// whole uploads an object in one request.
func (p *putter) whole(ctx context.Context, s *source, bucket, key string) error {
	release, err := p.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	crc, err := p.crc(ctx, s, 0, s.size)
	if err != nil {
		return err
	}
	_, err = p.c.PutObject(ctx, &sdk.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: io.NewSectionReader(s.f, 0, s.size), ContentLength: &s.size,
		ChecksumCRC64NVME: aws.String(inBase64(crc)), Metadata: s.meta(), IfNoneMatch: p.ifNone(),
	})
	return err
}

// ifNone makes a request fail if the object exists, for one that comes into being meanwhile.
func (p *putter) ifNone() *string {
	if p.noClobber {
		return aws.String("*")
	}
	return nil
}

// sizeOfParts returns how large parts are.
func (p *putter) sizeOfParts(size int64) int64 {
	const step = 1 << 20
	least := (size + maxParts - 1) / maxParts
	return max(p.partSize, (least+step-1)/step*step)
}

// parts uploads an object in parts. It aborts the upload if it fails.
func (p *putter) parts(ctx context.Context, s *source, bucket, key string) (err error) {
	begun, err := p.c.CreateMultipartUpload(ctx, &sdk.CreateMultipartUploadInput{
		Bucket: &bucket, Key: &key, Metadata: s.meta(),
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc64nvme, ChecksumType: types.ChecksumTypeFullObject,
	})
	if err != nil {
		return err
	}
	id := begun.UploadId
	defer func() {
		if err != nil {
			abort(ctx, p.c, bucket, key, id)
		}
	}()
	size := p.sizeOfParts(s.size)
	done := make([]types.CompletedPart, (s.size+size-1)/size)
	crcs := make([]uint64, len(done))
	err = eachOf(ctx, len(done), cap(p.slots), func(ctx context.Context, i int) error {
		release, err := p.hold(ctx)
		if err != nil {
			return err
		}
		defer release()
		off := int64(i) * size
		n := min(size, s.size-off)
		if crcs[i], err = p.crc(ctx, s, off, n); err != nil {
			return err
		}
		sum, number := inBase64(crcs[i]), int32(i+1)
		out, err := p.c.UploadPart(ctx, &sdk.UploadPartInput{
			Bucket: &bucket, Key: &key, UploadId: id, PartNumber: &number,
			Body: io.NewSectionReader(s.f, off, n), ContentLength: &n, ChecksumCRC64NVME: &sum,
		})
		if err != nil {
			return err
		}
		done[i] = types.CompletedPart{PartNumber: &number, ETag: out.ETag, ChecksumCRC64NVME: &sum}
		return nil
	})
	if err != nil {
		return err
	}
	var all uint64
	for i, crc := range crcs {
		all = crc64NVMe.join(all, crc, min(size, s.size-int64(i)*size))
	}
	_, err = p.c.CompleteMultipartUpload(ctx, &sdk.CompleteMultipartUploadInput{
		Bucket: &bucket, Key: &key, UploadId: id, MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
		ChecksumCRC64NVME: aws.String(inBase64(all)), ChecksumType: types.ChecksumTypeFullObject, IfNoneMatch: p.ifNone(),
	})
	return err
}

// destination is where the objects of an export go: s3://bucket/prefix, where the prefix
// is empty or ends in a slash.
type destination struct{ bucket, prefix string }

// parseDestination parses s3://bucket/prefix/.
func parseDestination(name string) (destination, error) {
	bucket, prefix, err := parseName(name)
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	return destination{bucket, prefix}, err
}

const scheme = "s3://"

// parseName splits s3://bucket/rest.
func parseName(name string) (bucket, rest string, err error) {
	path, ok := strings.CutPrefix(name, scheme)
	bucket, rest, _ = strings.Cut(path, "/")
	if !ok || bucket == "" {
		return "", "", fmt.Errorf("%s is no s3://bucket/prefix/", name)
	}
	if strings.HasPrefix(rest, "/") || strings.Contains(rest, "//") {
		return "", "", fmt.Errorf("%s has an empty segment", name)
	}
	return bucket, rest, nil
}

// isMissing reports whether an error says that there is no such object.
func isMissing(err error) bool {
	return statusOf(err) == 404 && !slices.Contains([]string{"NoSuchBucket", "NoSuchUpload"}, codeOf(err))
}

// isPrecondition reports whether an error says that an object was there.
func isPrecondition(err error) bool { return err != nil && statusOf(err) == 412 }
