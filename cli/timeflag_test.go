package cli

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.Local)
	for text, want := range map[string]time.Time{
		"2026-03-01":                time.Date(2026, 3, 1, 0, 0, 0, 0, time.Local),
		"2026-03-01 10:20":          time.Date(2026, 3, 1, 10, 20, 0, 0, time.Local),
		"2026-03-01 10:20:30":       time.Date(2026, 3, 1, 10, 20, 30, 0, time.Local),
		"2026-03-01T10:20":          time.Date(2026, 3, 1, 10, 20, 0, 0, time.Local),
		"2026-03-01T10:20:30Z":      time.Date(2026, 3, 1, 10, 20, 30, 0, time.UTC),
		"2026-03-01T10:20:30+02:00": time.Date(2026, 3, 1, 8, 20, 30, 0, time.UTC),
		"90m":                       time.Date(2026, 3, 4, 10, 30, 0, 0, time.Local),
		"2d":                        now.Add(-48 * time.Hour),
	} {
		if got, err := parseTime(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "noon", "-1h", "2026", "2026-13-01", "1 d", "10:20"} {
		if got, err := parseTime(text, now); err != errNoTime {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
