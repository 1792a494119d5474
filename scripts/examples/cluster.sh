# shellcheck shell=bash
# cluster.sh: what each run.sh of the examples begins with, by sourcing it.
#
# Answers --help with the comment at the top of run.sh, and refuses a ROWS that is no
# number from 1000 on. Then makes a temporary directory, starts a cluster of three servers
# in it, and leaves run.sh there, with s4 on PATH. However run.sh ends, so do the servers,
# and the directory goes with them. Needs bin/ of this checkout: make build.
#
# The directory is in $TMPDIR, else /tmp, on a file system with user extended attributes
# (ext4, xfs, btrfs, new tmpfs).

set -euo pipefail

fail() {
	echo "$0: $1" >&2
	exit 1
}

# same RESULT EXPECTED ends the example, with exit code 1, if the two files differ.
same() {
	set +v
	[[ -s $2 ]] || fail "there is no $2 to compare $1 with"
	cmp -- "$1" "$2" || fail "the results with s4 and without differ"
	echo "$1: $(wc -l <"$1") lines, the same with s4 and without"
}

case ${1-} in
-h | --help)
	sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
	exit 0
	;;
*[!0-9]* | 0* | ? | ?? | ???)
	echo "$0: ROWS is a number, 1000 or more, not $1 (see --help)" >&2
	exit 2
	;;
esac

bin=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)/bin
[[ -x $bin/s4 && -x $bin/s4-server ]] || fail "no s4 and s4-server in $bin: run make build first"
export PATH=$bin:$PATH

server='' work=''
stop_cluster() {
	if [[ -n $server ]]; then
		kill "$server" 2>/dev/null || true # it stops what it runs, and may be gone
		wait "$server" || true
	fi
	[[ -z $work ]] || rm -rf -- "$work"
}
trap stop_cluster EXIT # bash runs it after SIGINT and SIGTERM, too

work=$(mktemp -d "${TMPDIR:-/tmp}/s4-example.XXXXXX")
cd -- "$work"
s4-server --nodes 3 --dir data >server.out 2>server.log &
server=$!
until grep -qs '^export S4_CONF_PATH=' server.out; do
	kill -0 "$server" 2>/dev/null || fail "s4-server did not start: $(tail -n 1 server.log)"
	sleep 0.05
done
export S4_CONF_PATH=$work/data/s4.conf
