# generate.awk: made-up readings of weather stations, the same ones each time.
#
#   station001,2014-01-01,00:00,7.2,87,1003.7,13,0.9,1827
#
# Station, day, time, temperature, humidity, pressure, wind, rain, light.
#
# usage: awk -v rows=1000 -f generate.awk

# Park and Miller's minimal standard generator: exact in the doubles of every awk.
function random(n) { seed = seed * 16807 % 2147483647; return seed % n }

BEGIN {
	seed = 1
	for (row = 0; row < rows; row++) {
		minute = int(row / 100)
		printf "station%03d,2014-%02d-%02d,%02d:%02d,%d.%d,%d,%d.%d,%d,%d.%d,%d\n", row % 100,
			minute / 40320 % 12 + 1, minute / 1440 % 28 + 1, minute / 60 % 24, minute % 60,
			random(35), random(10), 20 + random(80), 980 + random(60), random(10),
			random(random(random(60) + 1) + 1), random(5) ? 0 : random(20), random(10), random(random(100000) + 1)
	}
}
