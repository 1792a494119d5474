# generate.awk: made-up documents, the same ones each time.
#
#   d0000000 Husala, penunu fale. Nakudi gixoge wowi giwimi.
#
# One a line: its name, and sentences of words, few of which are frequent.
#
# usage: awk -v rows=1000 -f generate.awk

# Park and Miller's minimal standard generator: exact in the doubles of every awk.
function random(n) { seed = seed * 16807 % 2147483647; return seed % n }

# word returns the word of a number: a syllable for each of its digits.
function word(n,   s) {
	do s = s syllable[n % 40]; while (n = int(n / 40))
	return s
}

BEGIN {
	seed = 1
	split("b d f g k l m n p r s t v z h j w y c x", consonant)
	split("a e i o u", vowel)
	for (i = 0; i < 40; i++) syllable[i] = consonant[i % 20 + 1] vowel[(i * 7 + int(i / 20)) % 5 + 1]
	for (row = 0; row < rows; row++) {
		line = sprintf("d%07d", row)
		for (left = 1 + random(6); left > 0; left--) {
			first = 1
			for (words = 2 + random(12); words > 0; words--) {
				w = word(random(random(random(60000) + 1) + 1))
				if (first) w = toupper(substr(w, 1, 1)) substr(w, 2)
				first = 0
				line = line " " w (words == 1 ? "." : random(8) == 0 ? "," : "")
			}
		}
		print line
	}
}
