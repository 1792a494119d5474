#!/usr/bin/env bash
# run.sh: join two tables on the servers.
#
# Usage: scripts/examples/join/run.sh [ROWS]
#
# ROWS is how many orders there are, 500000 if it is not given.

set -euo pipefail
export LC_ALL=C # compare bytes, as the servers' commands do
rows=${1:-500000}
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../cluster.sh
source "$here/../cluster.sh" # starts a cluster, and stops it when this script ends
set -v                       # print what follows as it runs

# Users are id,name,city, and orders are order,user,cents. Each table goes in as 12 keys,
# cut at line ends and numbered.
awk -v rows="$rows" -v table=users -f "$here/generate.awk" >users.csv
awk -v rows="$rows" -v table=orders -f "$here/generate.awk" >orders.csv
s4 cp --split-lines $(($(stat -c %s users.csv) / 12 + 1)) users.csv s4://shop/in/users/
s4 cp --split-lines $(($(stat -c %s orders.csv) / 12 + 1)) orders.csv s4://shop/in/orders/

# Partition both by the id of the user, into as many parts: what belongs together is now
# in parts of the same number, and so on the same server.
s4 map-to-n s4://shop/in/users/ s4://shop/parts/users/ 's4 partition -n 12 -d , -k 1'
s4 map-to-n s4://shop/in/orders/ s4://shop/parts/orders/ 's4 partition -n 12 -d , -k 2'

# A task for each number, over both directories. It gets the paths of the parts, which
# tell the tables apart. sed, as grep would fail the task where a table has no part.
cat >join.sh <<'SH'
cat >paths
sed -n '\,/parts/users/,p' paths | xargs -r -d '\n' cat -- | sort -t , -k 1,1 >users
sed -n '\,/parts/orders/,p' paths | xargs -r -d '\n' cat -- | sort -t , -k 2,2 >orders
join -t , -1 1 -2 2 users orders
SH
s4 map-from-n --script join.sh s4://shop/parts/ s4://shop/joined/
s4 head -n 2 s4://shop/joined/000

# The bytes that went from server to server, of the newest job first: the join has none.
s4 --json jobs | grep -o -e '"verb":"[^"]*"' -e '"outdir":"[^"]*"' -e '"bytes_pushed":[0-9]*' | paste - - - | tee pushed
grep -q 'joined.*"bytes_pushed":0$' pushed || fail "the join used the network"

# The same without s4.
s4 cat 's4://shop/joined/*' | sort >joined
join -t , -1 1 -2 2 <(sort -t , -k 1,1 users.csv) <(sort -t , -k 2,2 orders.csv) | sort >expected
same joined expected
