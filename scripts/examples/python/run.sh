#!/usr/bin/env bash
# run.sh: explore a log in JSON with Python, and draw a histogram.
#
# Usage: scripts/examples/python/run.sh [ROWS [PICTURE]]
#
# ROWS is how many requests the log has, 500000 if it is not given. PICTURE is a file for
# a PNG of the histogram, which takes gnuplot.

set -euo pipefail
export LC_ALL=C # compare bytes, as the servers' commands do
rows=${1:-500000}
picture=${2:+$(realpath -- "$2")}
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../cluster.sh
source "$here/../cluster.sh" # starts a cluster, and stops it when this script ends
set -v                       # print what follows as it runs

# Requests are {"id": 0, "path": "/search", "ms": 171.3}. They go in as 12 keys, cut at
# line ends and numbered.
python3 "$here/generate.py" "$rows" >requests.jsonl
s4 cp --split-lines $(($(stat -c %s requests.jsonl) / 12 + 1)) requests.jsonl s4://api/log/

# Look at the data, and try the script on a little of it, here.
s4 head -n 2 s4://api/log/00000_requests.jsonl
s4 head -n 20 s4://api/log/00000_requests.jsonl | "$here/histogram.py"

# Run it for all of each key: --script sends it along, and #! says that Python runs it.
s4 map --script "$here/histogram.py" s4://api/log/ s4://api/counts/

# Add the counts up: all of a path in one part, then a merge in Python.
s4 map-to-n s4://api/counts/ s4://api/parts/ 's4 partition -n 6 -d " " -k 1'
s4 map-from-n --script "$here/merge.py" s4://api/parts/ s4://api/histogram/
s4 cat 's4://api/histogram/*' | sort -k 1,1 -k 2,2n >histogram

# All paths together, as bars.
awk '
	{ n[$2] += $3; if (n[$2] > most) most = n[$2]; if ($2 > last) last = $2 }
	END {
		bar = sprintf("%50s", "")
		gsub(/ /, "#", bar)
		for (ms = 1; ms <= last; ms *= 2)
			printf "%6d ms %7d %s\n", ms, n[ms], substr(bar, 1, n[ms] * 50 / most)
	}' histogram

# A picture of them by path, if PICTURE is given and gnuplot is there.
if [[ -n $picture ]] && command -v gnuplot >/dev/null; then
	gnuplot -e "picture='$picture'" "$here/histogram.gp"
	echo "see $picture"
fi

# Another question: the three slowest requests. Python takes longer to start than
# to read a small key; with --batch it starts once for some of them. slowest.py writes
# the three of each key.
s4 map --batch 100 --script "$here/slowest.py" s4://api/log/ s4://api/slowest/
s4 cat 's4://api/slowest/*' | sort -t : -k 4,4nr -k 2,2nr | awk 'NR <= 3' | tee slowest

# The same without s4.
"$here/histogram.py" <requests.jsonl >expected_histogram
sort -t : -k 4,4nr -k 2,2nr requests.jsonl | awk 'NR <= 3' >expected_slowest
same histogram expected_histogram
same slowest expected_slowest
