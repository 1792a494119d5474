package flags

import (
	"testing"
	"time"
)

func TestPeriod(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "7d": 7 * 24 * time.Hour, "0": 0, "0d": 0, "90m": 90 * time.Minute, "1h30m": 90 * time.Minute, "365d": 365 * 24 * time.Hour,
	} {
		var p Period
		if err := p.Set(text); err != nil || time.Duration(p) != want {
			t.Errorf("%q: %v, %v", text, time.Duration(p), err)
		}
	}
	for _, text := range []string{"", "d", "7", "-7d", "-1h", "1d12h", "99999999d", "1w"} {
		var p Period
		if err := p.Set(text); err == nil {
			t.Errorf("%q: %v", text, time.Duration(p))
		}
	}
}
