package flags

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"1":                   1,
		"0001":                1,
		"65536":               65536,
		"500B":                500,
		"1k":                  1024,
		"100K":                100 << 10,
		"100kB":               100_000,
		"100KB":               100_000,
		"100KiB":              100 << 10,
		"100kiB":              100 << 10,
		"64M":                 64 << 20,
		"64m":                 64 << 20,
		"64MiB":               64 << 20,
		"64MB":                64_000_000,
		"1G":                  1 << 30,
		"1GiB":                1 << 30,
		"1GB":                 1_000_000_000,
		"2T":                  2 << 40,
		"2TB":                 2_000_000_000_000,
		"9223372036854775807": math.MaxInt64,
		"8388607T":            8388607 << 40,
		"9223372TB":           9223372_000_000_000_000,
	} {
		if got, err := ParseSize(text); got != want || err != nil {
			t.Errorf("%s: %d, %v, want %d", text, got, err, want)
		}
	}
}

func TestParseSizeErrors(t *testing.T) {
	for text, want := range map[string]error{
		"": errNoSize, "0": errNoSize, "0M": errNoSize, "000": errNoSize, "-1": errNoSize, "+1": errNoSize, "-64M": errNoSize,
		"M": errNoSize, "kB": errNoSize, "1.5G": errNoSize, "1,5G": errNoSize, "1e6": errNoSize, "0x10": errNoSize, "1_000": errNoSize,
		" 1": errNoSize, "1 M": errNoSize, "1M ": errNoSize, "1\n": errNoSize,
		"1b": errNoSize, "1Mb": errNoSize, "1mib": errNoSize, "1MBB": errNoSize, "1Mi": errNoSize, "1MK": errNoSize, "1iB": errNoSize, "1i": errNoSize,
		"1BM": errNoSize, "1X": errNoSize, "1P": errNoSize, "M1": errNoSize, "1M1": errNoSize, "٣": errNoSize, "64M\x00": errNoSize,
		"9223372036854775808":    errTooLarge,
		"99999999999999999999":   errTooLarge,
		"99999999999999999999kB": errTooLarge,
		"8388608T":               errTooLarge,
		"9007199254740992K":      errTooLarge,
		"9223372036854776kB":     errTooLarge,
		"9223373TB":              errTooLarge,
		"18014398509481985K":     errTooLarge, // 2^64 + 1024
	} {
		if got, err := ParseSize(text); got != 0 || err != want {
			t.Errorf("%q: %d, %v, want %v", text, got, err, want)
		}
	}
}

// FuzzParseSize compares with arithmetic that does not overflow.
func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"1", "64M", "64MiB", "64MB", "100k", "0", "1Mi", "8388608T", "B", "-1k"} {
		f.Add(s)
	}
	units := map[string]int64{"": 1, "B": 1}
	for i, letter := range "kmgt" {
		for _, l := range []string{string(letter), strings.ToUpper(string(letter))} {
			units[l] = 1 << (10 * (i + 1))
			units[l+"iB"] = units[l]
			units[l+"B"] = []int64{1e3, 1e6, 1e9, 1e12}[i]
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseSize(text)
		rest := strings.TrimLeft(text, "0123456789")
		unit, known := units[rest]
		n, ok := new(big.Int).SetString(text[:len(text)-len(rest)], 10)
		if known && ok {
			n.Mul(n, big.NewInt(unit))
		}
		if good := known && ok && n.Sign() > 0 && n.IsInt64(); good != (err == nil) || (good && fmt.Sprint(got) != n.String()) {
			t.Fatalf("%q: %d, %v, want %v, %v", text, got, err, n, good)
		}
	})
}
