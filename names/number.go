package names

import "strconv"

// NumericPrefix returns the digits that decide where a key with this basename
// lives: all before the first underscore, or all there is, if they are
// nothing but digits and make a number below 2^64. Otherwise ok is false.
//
//	000_bucket0.txt, 000    "000"
//	name.txt, 000.txt       none
func NumericPrefix(basename string) (digits string, ok bool) {
	i := 0
	for i < len(basename) && '0' <= basename[i] && basename[i] <= '9' {
		i++
	}
	if i == 0 || (i < len(basename) && basename[i] != '_') {
		return "", false
	}
	if _, err := strconv.ParseUint(basename[:i], 10, 64); err != nil {
		return "", false
	}
	return basename[:i], true
}
