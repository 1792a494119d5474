#!/usr/bin/env bash
# run.sh: remove the lines of a web log that are there twice.
#
# Usage: scripts/examples/dedup/run.sh [ROWS]
#
# ROWS is how many lines the log has, 1000000 if it is not given.

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

# Both copies of a line meet, as -k 0 places a line by all of its text. What a key has
# twice goes before the rest crosses the network. A part keeps the order of sort.
s4 map-to-n s4://web/log/ s4://web/parts/ 'sort -u | s4 partition -n 12 -k 0'

# So the parts are sorted and need but be merged. The paths are not arguments: of very
# many, xargs would start sort twice, and a copy would be left.
s4 map-from-n s4://web/parts/ s4://web/distinct/ 'tr "\n" "\0" | sort -mu --files0-from=-'

# The same without s4.
s4 cat 's4://web/distinct/*' | sort >distinct
sort -u access.log >expected
echo "$(wc -l <access.log) lines, $(wc -l <distinct) of them distinct"
same distinct expected
