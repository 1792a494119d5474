package xfer

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestGrowPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	growPipe(r)
	growPipe(nil)
	size, err := unix.FcntlInt(r.Fd(), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		t.Fatal(err)
	}
	if size != pipeSize {
		// A user who has used up the pages for pipes gets no more (pipe(7)).
		if _, err := unix.FcntlInt(r.Fd(), unix.F_SETPIPE_SZ, pipeSize); !errors.Is(err, unix.EPERM) {
			t.Errorf("the pipe has %d bytes, want %d", size, pipeSize)
		}
	}
}
