package bench

import (
	"io"
	"os"
	"strings"
)

// tailBytes is how much of a program's standard error an error quotes.
const tailBytes = 2048

// tail returns the end of a file, in one line, for an error.
func tail(f *os.File) string {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	b := make([]byte, min(size, tailBytes))
	n, _ := f.ReadAt(b, size-int64(len(b)))
	return strings.Join(strings.Split(strings.TrimSpace(string(b[:n])), "\n"), " | ")
}

// because returns a colon and the end of a file, or nothing if that is empty.
func because(f *os.File) string {
	if text := tail(f); text != "" {
		return ": " + text
	}
	return ""
}
