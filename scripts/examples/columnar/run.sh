#!/usr/bin/env bash
# run.sh: split rows into columns, and read two of nine.
#
# Usage: scripts/examples/columnar/run.sh [ROWS]
#
# ROWS is how many rows the table has, 500000 if it is not given.

# shellcheck disable=SC2016 # what is in single quotes is for the servers to expand
set -euo pipefail
export LC_ALL=C # compare bytes, as the servers' commands do
rows=${1:-500000}
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../cluster.sh
source "$here/../cluster.sh" # starts a cluster, and stops it when this script ends
set -v                       # print what follows as it runs

# A row is station,day,time,temperature,humidity,pressure,wind,rain,light. Numbers in
# front of the names pick the servers: 00000_weather.csv is a chunk of the table.
awk -v rows="$rows" -f "$here/generate.awk" >weather.csv
s4 cp --split-lines $(($(stat -c %s weather.csv) / 12 + 1)) weather.csv s4://sky/rows/

# Split each chunk into its columns: 00000_1 to 00000_9, as the columns of a chunk must
# meet again. They are on the server of the chunk, and the shuffle uses no network.
cat >columns.awk <<'AWK'
{ for (i = 1; i <= NF; i++) print $i >(chunk "_" i) }
AWK
s4 map-to-n --file columns.awk s4://sky/rows/ s4://sky/columns/ \
	'awk -F , -v chunk="${filename%%_*}" -f "$S4_ASSETS/columns.awk"; ls'
s4 --json jobs | grep -o '"bytes_pushed":[0-9]*'

# Compress them: values of one kind shrink better than rows do. The rows are not needed
# any more.
s4 map s4://sky/columns/ s4://sky/gz/ 'gzip -n'
s4 du -s s4://sky/rows/ s4://sky/columns/ s4://sky/gz/
s4 rm -q -r s4://sky/columns/

# How often was it how warm? That is one column, and a map: *_4 is column 4 of all chunks.
s4 map 's4://sky/gz/*/*_4' s4://sky/degrees/ 'gzip -dc | cut -d . -f 1 | sort | uniq -c'
s4 cat 's4://sky/degrees/**' | awk '{ n[$2] += $1 } END { for (d in n) print d, n[d] }' | sort -k 1,1n >degrees
head -n 3 degrees

# The strongest wind at each station: columns 1 and 7, and a merge, which gets the paths
# of both columns of a chunk, sorted.
cat >wind.sh <<'SH'
cat >paths
gzip -dc -- "$(sed -n 1p paths)" >station
gzip -dc -- "$(sed -n 2p paths)" >wind
paste -d , station wind | sort -t , -k 1,1 -k 2,2nr | awk -F , '!seen[$1]++'
SH
s4 map-from-n --script wind.sh 's4://sky/gz/*/*_[17]' s4://sky/wind/
s4 cat 's4://sky/wind/*' | sort -t , -k 1,1 -k 2,2nr | awk -F , '!seen[$1]++' >wind
head -n 3 wind

# What was read for it, of what there is.
s4 du -s 's4://sky/gz/*/*_[17]' s4://sky/gz/ s4://sky/rows/

# The same without s4.
cut -d , -f 4 weather.csv | cut -d . -f 1 | sort | uniq -c | awk '{ print $2, $1 }' | sort -k 1,1n >expected_degrees
cut -d , -f 1,7 weather.csv | sort -t , -k 1,1 -k 2,2nr | awk -F , '!seen[$1]++' >expected_wind
same degrees expected_degrees
same wind expected_wind
