#!/usr/bin/env bash
# run.sh: sort records over all servers.
#
# Usage: scripts/examples/sort/run.sh [ROWS]
#
# ROWS is how many records there are, 1000000 if it is not given.

# shellcheck disable=SC2016 # what is in single quotes is for the servers to expand
set -euo pipefail
export LC_ALL=C # compare bytes, as the servers' commands do
rows=${1:-1000000}
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../cluster.sh
source "$here/../cluster.sh" # starts a cluster, and stops it when this script ends
set -v                       # print what follows as it runs

# The records go in as 12 keys, cut at line ends and numbered.
awk -v rows="$rows" -f "$here/generate.awk" >records
s4 cp --split-lines $(($(stat -c %s records) / 12 + 1)) records s4://sort/in/

# Where to cut the order of the keys into 12 ranges that are alike in records? Each
# server samples its keys, and of the samples together the points are computed here.
s4 map s4://sort/in/ s4://sort/samples/ 's4 partition -n 100 --sample'
s4 cat 's4://sort/samples/*' | s4 partition -n 12 --sample >points

# Each record goes to the part of its range: all of 000 sorts before all of 001.
s4 map-to-n --file points s4://sort/in/ s4://sort/parts/ \
	's4 partition -n 12 --by range "$S4_ASSETS/points"'

# Sort each range where it lies. One thread for each: the server runs as many at once as
# it has processors.
s4 map-from-n s4://sort/parts/ s4://sort/out/ 'tr "\n" "\0" | sort --parallel=1 --files0-from=-'

# The ranges are alike, though most keys are low. In the order of their names they are
# all records, sorted.
s4 ls s4://sort/out/
s4 cat 's4://sort/out/*' >sorted

# The same without s4.
sort records >expected
same sorted expected
