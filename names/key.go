package names

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nathants/s4/wire"
)

// Scheme starts every key and prefix as people write them.
const Scheme = "s4://"

// maxSegment is the longest bucket or path segment in bytes: what Linux file
// systems allow a name (NAME_MAX).
const maxSegment = 255

// CheckKey reports whether name, a key without its scheme, is allowed:
// a bucket and at least one segment, each valid UTF-8 of 1 to 255 bytes
// without control characters or white space and not . or .., 1024 bytes in
// all, the bucket not starting with an underscore. The error says which rule
// it breaks; it is a *wire.Error of kind CodeBadKey.
func CheckKey(name string) error {
	if err := checkLength(name); err != nil {
		return err
	}
	bucket, rest, ok := strings.Cut(name, "/")
	if err := checkBucket(bucket); err != nil {
		return err
	}
	if !ok || rest == "" {
		return BadKey(name, "names a bucket, not a key in it")
	}
	for seg := range strings.SplitSeq(rest, "/") {
		if err := checkSegment(name, seg); err != nil {
			return err
		}
	}
	return nil
}

// CheckPrefix is CheckKey for a prefix: the bucket must be whole, what follows
// may be empty or end anywhere.
func CheckPrefix(name string) error {
	if err := checkLength(name); err != nil {
		return err
	}
	bucket, rest, _ := strings.Cut(name, "/")
	if err := checkBucket(bucket); err != nil {
		return err
	}
	for {
		seg, tail, more := strings.Cut(rest, "/")
		if !more {
			// The last segment may be empty or a part of . and ..
			if seg == "" || seg == "." || seg == ".." {
				return nil
			}
			return checkSegment(name, seg)
		}
		if err := checkSegment(name, seg); err != nil {
			return err
		}
		rest = tail
	}
}

func checkLength(name string) error {
	if len(name) > wire.MaxKey {
		return BadKey(name[:64]+"…", "is longer than 1024 bytes")
	}
	return nil
}

func checkBucket(bucket string) error {
	if bucket == "" {
		return BadKey("", "has no bucket")
	}
	if bucket[0] == '_' {
		return BadKey(bucket, "bucket starts with _, which is reserved")
	}
	return checkSegment(bucket, bucket)
}

func checkSegment(name, seg string) error {
	switch {
	case seg == "" && strings.HasSuffix(name, "/") && !strings.Contains(name, "//"):
		return BadKey(name, "ends in a slash: it names a directory, not a key")
	case seg == "":
		return BadKey(name, "has an empty segment")
	case seg == "." || seg == "..":
		return BadKey(name, "has a segment "+seg)
	case len(seg) > maxSegment:
		return BadKey(name, "has a segment longer than 255 bytes")
	case !utf8.ValidString(seg):
		return BadKey(name, "is not valid UTF-8")
	}
	for _, r := range seg {
		if unicode.IsSpace(r) {
			return BadKey(name, "contains white space")
		}
		if unicode.IsControl(r) {
			return BadKey(name, "contains a control character")
		}
	}
	return nil
}

// BadKey returns the error for a name that breaks a rule: a *wire.Error of kind
// CodeBadKey.
func BadKey(name, reason string) error {
	return &wire.Error{Code: wire.CodeBadKey, Key: strings.ToValidUTF8(name, "?"), Text: reason}
}

// TrimScheme returns what follows s4:// in s, or CodeBadKey.
func TrimScheme(s string) (string, error) {
	name, ok := strings.CutPrefix(s, Scheme)
	if !ok {
		return "", BadKey(s, "does not start with s4://")
	}
	return name, nil
}

// ParseKey returns the checked name in s4://name.
func ParseKey(s string) (string, error) {
	name, err := TrimScheme(s)
	if err != nil {
		return "", err
	}
	return name, CheckKey(name)
}

// ParsePrefix returns the checked prefix in s4://prefix. A bucket alone means
// all of that bucket and none whose name it begins.
func ParsePrefix(s string) (string, error) {
	name, err := TrimScheme(s)
	if err != nil {
		return "", err
	}
	if err := CheckPrefix(name); err != nil {
		return "", err
	}
	if !strings.Contains(name, "/") {
		name += "/"
	}
	return name, nil
}

// ParseDir returns the checked directory in s4://bucket/dir/, without scheme
// and trailing slash.
func ParseDir(s string) (string, error) {
	name, err := TrimScheme(s)
	if err != nil {
		return "", err
	}
	name = strings.TrimSuffix(name, "/")
	return name, CheckPrefix(name + "/")
}

// Base returns what follows the last slash of a key.
func Base(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }
