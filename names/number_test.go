package names_test

import (
	"testing"

	"github.com/nathants/s4/names"
)

func TestNumericPrefix(t *testing.T) {
	for base, want := range map[string]string{
		"000_bucket0.txt":                        "000",
		"000":                                    "000",
		"7":                                      "7",
		"12_":                                    "12",
		"12__3":                                  "12",
		"18446744073709551615":                   "18446744073709551615",
		"18446744073709551615_x":                 "18446744073709551615",
		"000000000000000000000000000000000001_x": "000000000000000000000000000000000001",
		"18446744073709551616":                   "",
		"18446744073709551616_x":                 "",
		"name.txt":                               "",
		"000.txt":                                "",
		"_5":                                     "",
		"":                                       "",
		"-1_x":                                   "",
		"+1_x":                                   "",
		"1e3_x":                                  "",
		"0x1_x":                                  "",
		"1 _x":                                   "",
		"٣_x":                                    "", // a digit, but none of 0 to 9
	} {
		got, ok := names.NumericPrefix(base)
		if got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v, want %q", base, got, ok, want)
		}
	}
}
