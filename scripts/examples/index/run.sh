#!/usr/bin/env bash
# run.sh: make an inverted index of a text corpus, and look up words.
#
# Usage: scripts/examples/index/run.sh [ROWS]
#
# ROWS is how many documents there are, 100000 if it is not given.

# shellcheck disable=SC2016 # what is in single quotes is for the servers to expand
set -euo pipefail
export LC_ALL=C # compare bytes, as the servers' commands do
rows=${1:-100000}
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../cluster.sh
source "$here/../cluster.sh" # starts a cluster, and stops it when this script ends
set -v                       # print what follows as it runs

# A document a line, its name first. Text that is many small files is packed like this,
# so that there are 12 keys, and not a million.
awk -v rows="$rows" -f "$here/generate.awk" >corpus
s4 cp --split-lines $(($(stat -c %s corpus) / 12 + 1)) corpus s4://text/corpus/

# The programs that the servers will run: a line for each word of a document, and a line
# for each word with all its documents.
cat >words.awk <<'AWK'
{
	name = $1
	$1 = ""
	n = split(tolower($0), words, /[^a-z]+/)
	for (i = 1; i <= n; i++) if (words[i] != "") print words[i], name
}
AWK
cat >postings.awk <<'AWK'
$1 != word { if (NR > 1) print ""; word = $1; printf "%s", word }
{ printf " %s", $2 }
END { if (NR > 0) print "" }
AWK

# All lines of a word meet in one of 12 parts. They are sorted before the network, and
# repeated words are left out.
s4 map-to-n --file words.awk s4://text/corpus/ s4://text/words/ \
	'awk -f "$S4_ASSETS/words.awk" | sort -u | s4 partition -n 12 -d " " -k 1'
s4 map-from-n --file postings.awk s4://text/words/ s4://text/index/ \
	'tr "\n" "\0" | sort -mu --files0-from=- | awk -f "$S4_ASSETS/postings.awk"'

# Look up a word: s4 partition names the part it is in, the one key to read.
mkdir lookup
part=$(cd lookup && echo fafa | s4 partition -n 12 -d ' ' -k 1)
s4 eval "s4://text/index/$part" 'grep "^fafa "' | cut -c 1-80

# The same without s4.
s4 cat 's4://text/index/*' | sort >index
awk -f words.awk corpus | sort -u | awk -f postings.awk | sort >expected
same index expected
