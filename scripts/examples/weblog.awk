# weblog.awk: lines of a made-up web log, the same ones each time.
#
#   2014-05-01T00:01:26 10.0.30.67 GET /item/611 200 3242 r0000001
#
# Time, client, method, page, status, bytes, and an id of the request. Few pages get
# most requests. One line in eight comes twice, as from a collector that did not hear
# that the first one had arrived.
#
# usage: awk -v rows=1000 -f weblog.awk

# Park and Miller's minimal standard generator: exact in the doubles of every awk.
function random(n) { seed = seed * 16807 % 2147483647; return seed % n }

BEGIN {
	seed = 1
	for (row = 0; row < rows; row++) {
		if (row >= 100 && random(8) == 0) {
			print recent[random(100)]
			continue
		}
		second = int(row * 86400 / rows)
		line = sprintf("2014-05-01T%02d:%02d:%02d 10.0.%d.%d GET /item/%d %d %d r%07d",
			second / 3600, second / 60 % 60, second % 60, random(32), random(256),
			random(random(random(5000) + 1) + 1), random(50) ? 200 : 404, 200 + random(20000), row)
		recent[row % 100] = line
		print line
	}
}
