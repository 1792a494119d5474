package partition

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
)

// BenchmarkRun splits 64 MiB of CSV lines. TMPDIR=/dev/shm keeps the disk out
// of it.
func BenchmarkRun(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	var in []byte
	for len(in) < 64<<20 {
		in = fmt.Appendf(in, "%d,2026-11-%02d,user%07d,%.*s,%d\n", r.IntN(1e7), r.IntN(30), r.IntN(1e7),
			20+r.IntN(60), "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", r.IntN(1000))
	}
	for _, n := range []int{1, 64, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			dir := b.TempDir()
			for b.Loop() {
				if err := os.RemoveAll(dir); err != nil {
					b.Fatal(err)
				}
				if err := os.Mkdir(dir, 0o777); err != nil {
					b.Fatal(err)
				}
				p, err := New(Config{N: n, Key: 1, Delimiter: ','})
				if err != nil {
					b.Fatal(err)
				}
				if err := p.Run(b.Context(), bytes.NewReader(in), dir); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
