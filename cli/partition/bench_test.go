package partition

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
)

// BenchmarkRun splits 64 MiB of CSV lines. TMPDIR=/dev/shm keeps the disk out
// of it.
func BenchmarkRun(b *testing.B) {
	in := table(`%d,2026-11-%02d,user%07d,%.*s,%d` + "\n")
	for _, n := range []int{1, 64, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			benchmark(b, in, Config{N: n, Key: []Column{{Field: 1}}, Delimiter: ','})
		})
	}
}

// BenchmarkFormats splits them in other ways, and with quotes.
func BenchmarkFormats(b *testing.B) {
	plain := table(`%d,2026-11-%02d,user%07d,%.*s,%d` + "\n")
	quoted := table(`"%d","2026-11-%02d","user%07d","%.*s","%d"` + "\n")
	c := Config{N: 64, Key: []Column{{Field: 3}}, Delimiter: ','}
	b.Run("lines", func(b *testing.B) { benchmark(b, plain, c) })
	two := c
	two.Key = []Column{{Field: 1}, {Field: 3}}
	b.Run("two-columns", func(b *testing.B) { benchmark(b, plain, two) })
	c.Format = CSV
	b.Run("csv", func(b *testing.B) { benchmark(b, plain, c) })
	b.Run("csv-all-quoted", func(b *testing.B) { benchmark(b, quoted, c) })
	c.Format = Null
	b.Run("null", func(b *testing.B) { benchmark(b, bytes.ReplaceAll(plain, []byte("\n"), []byte{0}), c) })
}

// table returns 64 MiB of lines.
func table(format string) (in []byte) {
	r := rand.New(rand.NewPCG(1, 2))
	for len(in) < 64<<20 {
		in = fmt.Appendf(in, format, r.IntN(1e7), r.IntN(30), r.IntN(1e7),
			20+r.IntN(60), "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", r.IntN(1000))
	}
	return in
}

func benchmark(b *testing.B, in []byte, c Config) {
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	dir := b.TempDir()
	begin := cpuTime(b)
	for b.Loop() {
		if err := os.RemoveAll(dir); err != nil {
			b.Fatal(err)
		}
		if err := os.Mkdir(dir, 0o777); err != nil {
			b.Fatal(err)
		}
		p, err := New(c)
		if err != nil {
			b.Fatal(err)
		}
		if err := p.Run(b.Context(), bytes.NewReader(in), dir); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpuTime(b)-begin)/float64(b.N), "cpu-ns/op")
}

// cpuTime returns the nanoseconds that this process has computed.
func cpuTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
