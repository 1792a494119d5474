# generate.awk: made-up records to sort, the same ones each time.
#
#   39841363<TAB>a payload of 26 bytes
#
# The key has eight digits, so that the order of bytes is that of numbers. Low keys are
# more frequent: ranges of equal width would be far from alike.
#
# usage: awk -v rows=1000 -f generate.awk

# Park and Miller's minimal standard generator: exact in the doubles of every awk.
function random(n) { seed = seed * 16807 % 2147483647; return seed % n }

BEGIN {
	seed = 1
	for (row = 0; row < rows; row++)
		printf "%08d\t%013d%013d\n", random(random(100000000) + 1), row, random(100000000)
}
