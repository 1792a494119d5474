package s4

import (
	"fmt"
	"io"
	"time"
)

// endWait is how long Put waits for a reader to end after its last byte. A reader
// that blocks for longer, such as a pipe that stays open, counts as ended.
const endWait = time.Second

// checkEnd returns nil if r, of which size bytes have been read, has no more. If r
// blocks, the Read is left to itself after endWait.
func checkEnd(r io.Reader, size int64) error {
	result := make(chan error, 1)
	go func() {
		var more [1]byte
		_, err := io.ReadFull(r, more[:])
		result <- err
	}()
	wait := time.NewTimer(endWait)
	defer wait.Stop()
	select {
	case err := <-result:
		switch err {
		case io.EOF:
			return nil
		case nil:
			return fmt.Errorf("the source has more than %d bytes", size)
		}
		return err
	case <-wait.C:
		return nil
	}
}
