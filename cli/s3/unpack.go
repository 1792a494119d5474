package s3

import (
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// unpackers are the formats that --decompress knows, by the suffix of a name. Each reads
// to the end of its input, also if that has several members or frames, and fails if
// anything else follows or the last is not whole.
var unpackers = map[string]func(w io.Writer, r io.Reader) error{
	"gz":  unpackGzip,
	"zst": unpackZstd,
	"lz4": unpackLZ4,
}

// packedAs returns how the object of this name is compressed, and the name without the
// suffix that says so; "" and the name if it is not.
func packedAs(name string) (format, plain string) {
	for format := range unpackers {
		if plain, ok := strings.CutSuffix(name, "."+format); ok && plain != "" && !strings.HasSuffix(plain, "/") {
			return format, plain
		}
	}
	return "", name
}

func unpackGzip(w io.Writer, r io.Reader) error {
	z, err := gzip.NewReader(r) // it goes on with the next member, RFC 1952 section 2.2
	if err != nil {
		return whole(err)
	}
	_, err = z.WriteTo(w)
	return whole(err)
}

// maxWindow is the largest window of a zstd frame that is unpacked: that of --ultra and
// --long=27, which is also what the zstd command takes without --memory.
const maxWindow = 128 << 20

func unpackZstd(w io.Writer, r io.Reader) error {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return err
	}
	defer z.Close()
	_, err = z.WriteTo(w)
	return whole(err)
}

func unpackLZ4(w io.Writer, r io.Reader) error {
	_, err := lz4.NewReader(r).WriteTo(w)
	return whole(err)
}

// whole says in words that the input was cut off.
func whole(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("it is cut off: %w", io.ErrUnexpectedEOF)
	}
	return err
}
