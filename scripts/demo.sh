#!/usr/bin/env bash
# demo.sh: count the words of Go's own source on a cluster of three servers.
#
# Usage: scripts/demo.sh
#
#   -h, --help   this text
#
# Starts an embedded cluster in a temporary directory, copies the corpus in,
# counts with map, map-to-n and map-from-n, compares every count with a plain
# pipeline over the same files, and removes everything again. Needs bin/s4 and
# bin/s4-server (make build), and Go's source under $(go env GOROOT).
#
# The temporary directory is made in $TMPDIR, else /tmp: some 300 MB, on a file
# system with user extended attributes (ext4, xfs, btrfs, new tmpfs).

set -euo pipefail
export LC_ALL=C

usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

case ${1-} in
'') ;;
-h | --help)
	usage
	exit 0
	;;
*)
	echo "demo.sh: unknown argument: $1 (see demo.sh --help)" >&2
	exit 2
	;;
esac

fail() {
	echo "demo.sh: $1" >&2
	exit 1
}

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
[[ -x $root/bin/s4 && -x $root/bin/s4-server ]] || fail "no bin/s4 and bin/s4-server: run make build first"
export PATH=$root/bin:$PATH
source_dir=$(go env GOROOT)/src
[[ -d $source_dir ]] || fail "no Go source in $source_dir"

# Job control gives the server and each step a process group of its own, so that
# whatever ends this script can end them, children and all.
set -m
server='' step=''
tmp=$(cd -- "$(mktemp -d "${TMPDIR:-/tmp}/s4-demo.XXXXXX")" && pwd)

clean_up() {
	local waited
	trap '' INT TERM HUP
	exec 2>/dev/null # bash would announce each job it ends
	[[ -z $step ]] || kill -TERM -- "-$step" 2>/dev/null || true
	if [[ -n $server ]]; then
		kill -TERM "$server" 2>/dev/null || true
		for ((waited = 0; waited < 110; waited++)); do
			kill -0 "$server" 2>/dev/null || break
			sleep 0.1
		done
		kill -KILL -- "-$server" 2>/dev/null || true
	fi
	[[ -z $step ]] || kill -KILL -- "-$step" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf -- "$tmp"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# run WHAT COMMAND shows a command, runs it and says how long it took. It runs
# beside this script, which waits: a trap interrupts that, not a command.
run() {
	local start=${EPOCHREALTIME/./} status=0
	printf '\n# %s\n$ %s\n' "$1" "$2"
	quietly "$2" || status=$?
	printf '  %s s\n' "$(seconds_since "$start")"
	((status == 0)) || fail "that failed with exit code $status"
}

quietly() {
	local status=0
	bash -euo pipefail -c "$1" </dev/null &
	step=$!
	wait "$step" || status=$?
	step=
	return "$status"
}

seconds_since() {
	local micro=$((${EPOCHREALTIME/./} - $1))
	printf '%d.%d' $((micro / 1000000)) $((micro % 1000000 / 100000))
}

megabytes() { find "$1" -type f -printf '%s\n' | awk '{ n += $1 } END { printf "%.1f MB in %d files", n / 1e6, NR }'; }

cd -- "$tmp"
mkdir corpus lists
find "$source_dir" -type f -name '*.go' -print | sort | split -n r/64 -d -a 3 - lists/
for list in lists/*; do
	xargs -d '\n' cat -- <"$list" >"corpus/${list#lists/}_go.txt"
done
echo "the corpus: $(find "$source_dir" -type f -name '*.go' | wc -l) Go source files, as $(megabytes corpus)"

# The three commands that the servers will run, each as a script of its own.
cat >count.sh <<'SCRIPT'
tr A-Z a-z | tr -cs a-z '\n' | awk 'NF { n[$1]++ } END { for (word in n) print word, n[word] }'
SCRIPT
cat >partition.sh <<'SCRIPT'
awk '
    {
        hash = 0
        for (i = 1; i <= length($1); i++)
            hash = (hash * 31 + index("abcdefghijklmnopqrstuvwxyz", substr($1, i, 1))) % 65521
        file = sprintf("%03d", hash % 12)
        print >file
        files[file]
    }
    END { for (file in files) { close(file); print file } }'
SCRIPT
cat >merge.sh <<'SCRIPT'
xargs -d '\n' awk 1 | awk '{ n[$1] += $2 } END { for (word in n) print word, n[word] }'
SCRIPT

printf '\n# a cluster of three servers in one process\n$ s4-server --nodes 3 --dir cluster\n'
s4-server --nodes 3 --dir cluster >server.out 2>server.err &
server=$!
for ((waited = 0; waited < 300; waited++)); do
	! grep -q '^export S4_CONF_PATH=' server.out || break
	kill -0 "$server" 2>/dev/null || break
	sleep 0.1
done
grep '^export S4_CONF_PATH=' server.out || fail "s4-server did not start: $(tail -n 1 server.err)"
export S4_CONF_PATH=$tmp/cluster/s4.conf

# shellcheck disable=SC2016 # run shows what it is given, and a new bash expands it
{
	run 'copy the corpus in: the number in front of a name picks its server' \
		's4 cp -q -r corpus/ s4://demo/corpus/'
	run "map: count the words of each file where it lies; count.sh is
#   $(cat count.sh)" \
		's4 map s4://demo/corpus/ s4://demo/counts/ "$(cat count.sh)"'
	run 'map-to-n: partition.sh splits each table by a hash of the word, 000 to 011' \
		's4 map-to-n s4://demo/counts/ s4://demo/parts/ "$(cat partition.sh)"'
	run "map-from-n: add up all the 000, all the 001, ...; merge.sh is
#   $(cat merge.sh)" \
		's4 map-from-n s4://demo/parts/ s4://demo/words/ "$(cat merge.sh)"'
	run 'the result is twelve keys' \
		's4 ls s4://demo/words/'
	run 'copy it out' \
		's4 cp -q -r s4://demo/words/ words/'
	run 'the ten most frequent words' \
		'cat words/* | sort -k2,2nr -k1,1 >table; head -n 10 table'
	run 'the same count without s4, one pipeline over the same files' \
		'cat corpus/* | tr A-Z a-z | tr -cs a-z "\n" | awk "NF { n[\$0]++ } END { for (word in n) print word, n[word] }" | sort -k2,2nr -k1,1 >expected'
}

echo
echo "in: $(megabytes corpus); out: $(megabytes words), $(wc -l <table) words, $(awk '{ n += $2 } END { print n }' table) in all"
cmp table expected || fail "the two counts differ"
echo "all counts are the same with and without s4"
