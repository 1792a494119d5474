#!/usr/bin/env bash
# run.sh: find the ten pages of a web log with the most requests.
#
# Usage: scripts/examples/topk/run.sh [ROWS]
#
# ROWS is how many lines the log has, 1000000 if it is not given.

# shellcheck disable=SC2016 # what is in single quotes is for the servers to expand
set -euo pipefail
export LC_ALL=C # compare bytes, as the servers' commands do
rows=${1:-1000000}
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../cluster.sh
source "$here/../cluster.sh" # starts a cluster, and stops it when this script ends
set -v                       # print what follows as it runs

# The log goes in as 12 keys, cut at line ends and numbered.
awk -v rows="$rows" -f "$here/../weblog.awk" >access.log
s4 cp --split-lines $(($(stat -c %s access.log) / 12 + 1)) access.log s4://web/log/

# The programs that the servers will run. Counts are printed with %.0f: for mawk, print
# has six digits of a number above 2^31.
cat >count.awk <<'AWK'
{ n[$4]++ }
END { for (page in n) printf "%s %.0f\n", page, n[page] }
AWK
cat >sum.awk <<'AWK'
{ n[$1] += $2 }
END { for (page in n) printf "%s %.0f\n", page, n[page] }
AWK

# Count in each key first: the network carries a line for each page, not for each
# request. All counts of a page meet in one of 12 parts, four for each server.
s4 map-to-n --file count.awk s4://web/log/ s4://web/counts/ \
	'awk -f "$S4_ASSETS/count.awk" | s4 partition -n 12 -d " " -k 1'

# The ten of each part. No head, which would end before sort does: with pipefail that
# fails the task.
s4 map-from-n --file sum.awk s4://web/counts/ s4://web/top/ \
	'xargs -d "\n" cat -- | awk -f "$S4_ASSETS/sum.awk" | sort -k 2,2nr -k 1,1 | awk "NR <= 10"'

# The ten of all: no page that is not among the ten of its part can be one.
s4 cat 's4://web/top/*' | sort -k 2,2nr -k 1,1 | awk 'NR <= 10' | tee top

# The same without s4.
cut -d ' ' -f 4 access.log | sort | uniq -c | sort -k 1,1nr -k 2,2 |
	awk 'NR <= 10 { print $2, $1 }' >expected
same top expected
