#!/usr/bin/env bash
# run.sh: ask five questions about taxi trips, and repair a bad input.
#
# Usage: scripts/examples/taxi/run.sh [ROWS]
#
# ROWS is how many trips there are, 500000 if it is not given.

# shellcheck disable=SC2016 # what is in single quotes is for the servers to expand
set -euo pipefail
export LC_ALL=C # compare bytes, as the servers' commands do
rows=${1:-500000}
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../cluster.sh
source "$here/../cluster.sh" # starts a cluster, and stops it when this script ends
set -v                       # print what follows as it runs

# The trips go in as 12 keys, cut at line ends and numbered, each with the header. A real
# job would say --split-lines 64M, so that there are some keys for each processor.
awk -v rows="$rows" -f "$here/generate.awk" >trips.csv
s4 cp --split-lines $(($(stat -c %s trips.csv) / 12 + 1)) --header trips.csv s4://taxi/in/
s4 head -n 3 s4://taxi/in/00000_trips.csv

# The programs that the servers will run. Sums are printed with %.0f: for mawk, print has
# six digits of a number above 2^31.
cat >passengers.awk <<'AWK'
NR > 1 { n[$4]++ }
END { for (k in n) printf "%s,%.0f\n", k, n[k] }
AWK
cat >rides.awk <<'AWK'
NR > 1 { n[substr($2, 1, 10)]++ }
END { for (k in n) printf "%s,%.0f\n", k, n[k] }
AWK
cat >distance.awk <<'AWK'
NR == 1 { next }
$5 !~ /^[0-9]+$/ { print "line " NR ": the distance is " $5 >"/dev/stderr"; failed = 1; exit 1 }
{ n[substr($2, 1, 10)] += $5 }
END { if (!failed) for (k in n) printf "%s,%.0f\n", k, n[k] }
AWK
cat >sum.awk <<'AWK'
{ n[$1] += $2 }
END { for (k in n) printf "%s,%.0f\n", k, n[k] }
AWK

# Rides by passengers. What would run where? Then a count for each key, where it lies;
# they are so few that they are added up here.
s4 map --explain --file passengers.awk s4://taxi/in/ s4://taxi/passengers/ \
	'awk -F , -f "$S4_ASSETS/passengers.awk"'
s4 map --file passengers.awk s4://taxi/in/ s4://taxi/passengers/ \
	'awk -F , -f "$S4_ASSETS/passengers.awk"'
s4 cat 's4://taxi/passengers/*' | awk -F , -f sum.awk | sort | tee passengers

# Rides by date, added up by a server: all counts go to the part 000, and one task merges
# them. The job log says of each task what it took; here is the one that took longest.
s4 map-to-n --joblog rides.tsv --file rides.awk s4://taxi/in/ s4://taxi/rides_parts/ \
	'awk -F , -f "$S4_ASSETS/rides.awk" >000; echo 000'
s4 map-from-n --file sum.awk s4://taxi/rides_parts/ s4://taxi/rides/ \
	'xargs -d "\n" cat -- | awk -F , -f "$S4_ASSETS/sum.awk" | sort'
s4 cat s4://taxi/rides/000 >rides
{ head -n 1 rides.tsv && tail -n +2 rides.tsv | sort -t $'\t' -k 4,4nr | sed -n 1p; } | cut -f 1-8

# Distance by date, as if there were millions of dates: in 12 parts, of four for each server.
# All sums of a date meet in one part.
s4 map-to-n --file distance.awk s4://taxi/in/ s4://taxi/distance_parts/ \
	'awk -F , -f "$S4_ASSETS/distance.awk" | s4 partition -n 12 -d , -k 1'
s4 map-from-n --file sum.awk s4://taxi/distance_parts/ s4://taxi/distance/ \
	'xargs -d "\n" cat -- | awk -F , -f "$S4_ASSETS/sum.awk"'
s4 cat 's4://taxi/distance/*' | sort >distance

# The 100 longest trips: of each key, then of all. No head, which would end before sort
# does: with pipefail that fails the task.
s4 map s4://taxi/in/ s4://taxi/longest/ 'tail -n +2 | sort -t , -k 5,5r | awk "NR <= 100"'
s4 cat 's4://taxi/longest/*' | sort -t , -k 5,5r | awk 'NR <= 100' >longest

# All trips sorted by distance, in 12 ranges that a sample of the keys makes alike.
s4 map s4://taxi/in/ s4://taxi/samples/ 's4 partition -n 100 -d , --header drop -k distance --sample'
s4 cat 's4://taxi/samples/*' | s4 partition -n 12 --sample >points
s4 map-to-n --file points s4://taxi/in/ s4://taxi/sorted_parts/ \
	's4 partition -n 12 -d , --header drop -k distance --by range "$S4_ASSETS/points"'
s4 map-from-n s4://taxi/sorted_parts/ s4://taxi/sorted/ \
	'tr "\n" "\0" | sort --parallel=1 -t , -k 5,5 --files0-from=-'
s4 cat 's4://taxi/sorted/*' >sorted

# What lies between is not needed any more.
s4 rm -r s4://taxi/samples/ s4://taxi/sorted_parts/

# A late key, and its second trip has no distance. A task fails, and with it the job. With
# --on-failure keep what the other tasks have done is kept.
awk -v rows=1000 -f "$here/generate.awk" >late.csv
awk -F , -v OFS=, 'NR == 3 { $5 = "n/a" } { print }' late.csv | s4 cp - s4://taxi/in/00012_late.csv
s4 map --on-failure keep --file distance.awk s4://taxi/in/ s4://taxi/daily/ \
	'awk -F , -f "$S4_ASSETS/distance.awk"' || echo "exit code $?"
s4 jobs | sed -n 1p

# The other way: with --keep-going the job does without that key.
s4 map --keep-going --file distance.awk s4://taxi/in/ s4://taxi/most/ \
	'awk -F , -f "$S4_ASSETS/distance.awk"' || echo "exit code $?"

# Repair the input. The job that was kept goes on, and the other one is completed by the
# same line again with --resume, which runs only what is missing.
s4 rm s4://taxi/in/00012_late.csv
s4 cp late.csv s4://taxi/in/00012_late.csv
s4 jobs resume "$(s4 jobs | awk '$2 == "suspended" { print $1 }')"
s4 map --keep-going --resume --file distance.awk s4://taxi/in/ s4://taxi/most/ \
	'awk -F , -f "$S4_ASSETS/distance.awk"'
s4 cat 's4://taxi/daily/*' | awk -F , -f sum.awk | sort >daily
s4 cat 's4://taxi/most/*' | awk -F , -f sum.awk | sort >most

# The same without s4.
awk -F , -f passengers.awk trips.csv | sort >expected_passengers
awk -F , -f rides.awk trips.csv | sort >expected_rides
awk -F , -f distance.awk trips.csv | sort >expected_distance
tail -n +2 trips.csv | sort -t , -k 5,5r | awk 'NR <= 100' >expected_longest
tail -n +2 trips.csv | sort -t , -k 5,5 >expected_sorted
{ cat trips.csv && tail -n +2 late.csv; } | awk -F , -f distance.awk | sort >expected_daily
same passengers expected_passengers
same rides expected_rides
same distance expected_distance
same longest expected_longest
same sorted expected_sorted
same daily expected_daily
same most expected_daily
