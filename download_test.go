package s4

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

// A file that comes into the way while directories are made is no directory, as one that
// was there before.
func TestMakeDirRace(t *testing.T) {
	dir := t.TempDir()
	for i := range 3000 {
		path := filepath.Join(dir, strconv.Itoa(i))
		var wg sync.WaitGroup
		wg.Go(func() { _ = os.WriteFile(path, nil, 0o644) })
		err := makeDir(path)
		wg.Wait()
		if err != nil && !errors.Is(err, syscall.ENOTDIR) {
			t.Fatalf("try %d: %v", i, err)
		}
	}
}
