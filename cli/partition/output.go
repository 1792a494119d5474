package partition

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

// output is the files and what is not written to them yet. A file with
// unwritten bytes has a slot, a piece of the one arena. Where there are fewer
// slots than files, one that needs a slot takes that of another, in turn.
type output struct {
	dir     int // descriptor
	width   int // of names
	files   []file
	arena   []byte
	size    int     // of a slot
	owners  []int32 // which file has a slot, for those that were ever taken
	slots   int     // how many owners there may be
	victim  int     // the slot to take next where none is left
	open    int     // files kept open
	maxOpen int
}

// file is one file of the output. There may be a million.
type file struct {
	records int64
	bytes   int64 // written
	slot    int32 // 0 for none, else 1 + its index
	fill    int32 // bytes in the slot
	fd      int32 // if kept
	state   fileState
}

type fileState uint8

const (
	fileAbsent fileState = iota
	fileClosed           // exists
	fileKept             // exists and is open
)

// openFiles is how many files the system lets this process keep open, less
// those it may need for other things.
func openFiles() int {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil || lim.Cur > maxOpen+spareFiles {
		return maxOpen // running out is found out, too
	}
	return max(0, int(lim.Cur)-spareFiles)
}

func newOutput(dir string, c *Config) (*output, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	size := c.Memory / c.N
	switch {
	case size >= 4096: // whole pages of the file at a time
		size -= size % 4096
	default:
		size -= size % minSlot
	}
	size = min(max(size, minSlot), maxSlot)
	slots := max(1, min(c.N, c.Memory/size))
	// Huge pages, as lines go to slots all over it, and a miss of the TLB would
	// cost more than the line. What is not used is never touched, and no memory.
	arena, err := unix.Mmap(-1, 0, slots*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("allocate %d bytes: %w", slots*size, err)
	}
	_ = unix.Madvise(arena, unix.MADV_HUGEPAGE) // it works without
	return &output{
		dir:     fd,
		width:   width(c.N),
		files:   make([]file, c.N),
		arena:   arena,
		size:    size,
		slots:   slots,
		maxOpen: c.OpenFiles,
	}, nil
}

func (o *output) name(i int) string { return string(appendName(nil, i, o.width)) }

// slot returns the memory of a file that has a slot.
func (o *output) slot(f *file) []byte {
	at := (int(f.slot) - 1) * o.size
	return o.arena[at : at+o.size]
}

// put appends data to file i.
func (o *output) put(i int, data []byte) error {
	f := &o.files[i]
	if f.slot != 0 && len(data) < o.size-int(f.fill) {
		copy(o.slot(f)[f.fill:], data)
		f.fill += int32(len(data))
		return nil
	}
	for len(data) > 0 {
		if f.fill == 0 && len(data) >= o.size {
			n := len(data) - len(data)%o.size
			if err := o.write(i, data[:n]); err != nil {
				return err
			}
			data = data[n:]
			continue
		}
		if f.slot == 0 {
			if err := o.takeSlot(i); err != nil {
				return err
			}
		}
		n := copy(o.slot(f)[f.fill:], data)
		f.fill += int32(n)
		data = data[n:]
		if int(f.fill) == o.size {
			if err := o.flush(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// takeSlot gives file i a slot.
func (o *output) takeSlot(i int) error {
	if len(o.owners) < o.slots {
		o.owners = append(o.owners, int32(i))
		o.files[i].slot = int32(len(o.owners))
		return nil
	}
	s := o.victim
	o.victim = (s + 1) % o.slots
	was := int(o.owners[s])
	if err := o.flush(was); err != nil {
		return err
	}
	o.files[was].slot = 0
	o.owners[s] = int32(i)
	o.files[i].slot = int32(s) + 1
	return nil
}

// flush writes what is in the slot of file i.
func (o *output) flush(i int) error {
	f := &o.files[i]
	if f.fill == 0 {
		return nil
	}
	data := o.slot(f)[:f.fill]
	f.fill = 0
	return o.write(i, data)
}

// write writes data to file i, and leaves it open if it may.
func (o *output) write(i int, data []byte) error {
	f := &o.files[i]
	fd := int(f.fd)
	if f.state != fileKept {
		var err error
		if fd, err = o.openFile(i); err != nil {
			return err
		}
	}
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			if f.state != fileKept {
				_ = unix.Close(fd) // the write has failed already
			}
			return fmt.Errorf("write %s: %w", o.name(i), err)
		}
		data = data[n:]
		f.bytes += int64(n)
	}
	if f.state == fileKept {
		return nil
	}
	return o.closeFile(i, fd)
}

// openFile opens file i, which must not exist if this is the first time, and
// keeps it if there is room.
func (o *output) openFile(i int) (int, error) {
	f := &o.files[i]
	flags := unix.O_WRONLY | unix.O_APPEND | unix.O_NOFOLLOW | unix.O_CLOEXEC
	op := "open"
	if f.state == fileAbsent {
		flags |= unix.O_CREAT | unix.O_EXCL
		op = "create"
	}
	name := o.name(i)
	for {
		fd, err := unix.Openat(o.dir, name, flags, 0o666)
		switch {
		case err == nil:
			f.state = fileClosed
			if o.open < o.maxOpen {
				f.state, f.fd = fileKept, int32(fd)
				o.open++
			}
			return fd, nil
		case err == unix.EINTR:
		case (err == unix.EMFILE || err == unix.ENFILE) && o.open > 0:
			// More were open before, or in the system, than was to be
			// expected: make do with half.
			o.maxOpen = o.open / 2
			if err := o.closeKept(); err != nil {
				return 0, err
			}
		default:
			return 0, fmt.Errorf("%s %s: %w", op, name, err)
		}
	}
}

// closeFile closes fd of file i; some file systems tell only now that they
// could not write.
func (o *output) closeFile(i, fd int) error {
	// After EINTR, too, it is closed.
	if err := unix.Close(fd); err != nil && err != unix.EINTR {
		return fmt.Errorf("close %s: %w", o.name(i), err)
	}
	return nil
}

// closeKept closes all files that are open and returns the first error.
func (o *output) closeKept() (err error) {
	for i := range o.files {
		if o.open == 0 {
			break
		}
		if f := &o.files[i]; f.state == fileKept {
			f.state = fileClosed
			o.open--
			if cerr := o.closeFile(i, int(f.fd)); err == nil {
				err = cerr
			}
		}
	}
	return err
}

// finish writes what is left, and closes all.
func (o *output) finish(ctx context.Context) error {
	for i := range o.files {
		if o.files[i].fill == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := o.flush(i); err != nil {
			return err
		}
	}
	return o.closeKept()
}

// close closes what is still open, after a failure all files.
func (o *output) close() {
	_ = o.closeKept() // of a failure, which has been told
	_ = unix.Close(o.dir)
	_ = unix.Munmap(o.arena)
	o.arena = nil
}
