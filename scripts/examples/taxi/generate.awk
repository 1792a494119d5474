# generate.awk: made-up taxi trips as CSV, the same ones each time.
#
#   vendor,pickup,dropoff,passengers,distance,rate,payment,fare,tip,tolls,total
#   1,2014-11-05 19:14:38,2014-11-05 19:33:23,1,00199,1,card,6.48,0.12,0.00,6.60
#
# The distance is in hundredths of a mile: sums are exact in whatever order they are
# made. It has five digits always, so that the order of bytes is that of numbers.
#
# usage: awk -v rows=1000 -f generate.awk

# Park and Miller's minimal standard generator: exact in the doubles of every awk.
function random(n) { seed = seed * 16807 % 2147483647; return seed % n }

function stamp(minute, second) {
	return sprintf("2014-%s %02d:%02d:%02d", day[int(minute / 1440)], minute / 60 % 24, minute % 60, second)
}

function dollars(cents) { return sprintf("%d.%02d", cents / 100, cents % 100) }

BEGIN {
	seed = 1
	split("31 28 31 30 31 30 31 31 30 31 30 31", length_of)
	for (month = 1; month <= 12; month++)
		for (d = 1; d <= length_of[month]; d++) day[days++] = sprintf("%02d-%02d", month, d)
	split("card cash none", payment)

	print "vendor,pickup,dropoff,passengers,distance,rate,payment,fare,tip,tolls,total"
	for (row = 0; row < rows; row++) {
		distance = 40 + random(random(random(9000) + 1) + 1)
		minutes = 2 + int(distance / 20) + random(10)
		start = random(365 * 1440 - minutes)
		fare = 250 + distance * 2
		tip = int(fare * random(30) / 100)
		tolls = distance > 1500 ? 533 : 0
		printf "%d,%s,%s,%d,%05d,%d,%s,%s,%s,%s,%s\n", 1 + random(2),
			stamp(start, random(60)), stamp(start + minutes, random(60)),
			1 + random(random(6) + 1), distance, 1 + random(5), payment[1 + random(3)],
			dollars(fare), dollars(tip), dollars(tolls), dollars(fare + tip + tolls)
	}
}
