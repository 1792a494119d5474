package node

import "testing"

func TestParseAvailable(t *testing.T) {
	for text, want := range map[string]uint64{
		"MemTotal:  3 kB\nMemFree:  2 kB\nMemAvailable:       5 kB\nBuffers: 1 kB\n": 5 << 10,
		"MemTotal:  3 kB\nMemFree:  2 kB\n":                                          7, // Linux before 3.14
		"MemTotal:  3 kB\nMemAvailable: -1 kB\n":                                     7,
		"":                                                                           7,
	} {
		if got := parseAvailable([]byte(text), 7); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
