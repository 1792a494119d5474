# generate.awk: made-up users and their orders, the same ones each time.
#
#   u0000001,Name1,city49        a user: id, name, city
#   o0000041,u0000172,5969       an order: order, user, cents
#
# There is a user for five orders, some have none, and some orders have an unknown user.
#
# usage: awk -v rows=1000 -v table=users|orders -f generate.awk

# Park and Miller's minimal standard generator: exact in the doubles of every awk.
function random(n) { seed = seed * 16807 % 2147483647; return seed % n }

BEGIN {
	seed = 1
	users = int(rows / 5) + 1
	if (table == "users")
		for (user = 0; user < users; user++)
			printf "u%07d,Name%d,city%d\n", user, user, random(100)
	else
		for (row = 0; row < rows; row++)
			printf "o%07d,u%07d,%d\n", row, random(random(users + 10) + 1), 1 + random(20000)
}
