# shellcheck shell=bash
# cluster_remote.sh: the part of new_cluster.sh and stop_cluster.sh that runs on
# a server's host. They send it to `bash -s` over ssh, with `set -- ARG...` in
# front and, for deploy, files behind: it is not run by hand.
#
# Usage: VERB DIR [ARG...]
#
#   plan DIR LISTED PLACE FORCE SUM_S4 SUM_SERVER SUM_CONF SUM_SECRET [FLAG...]
#             say which files are needed and whether the server must be started
#   deploy DIR LISTED PLACE ACTION SUM_S4 SUM_SERVER SUM_CONF SUM_SECRET [FLAG...]
#             take files from stdin, do as planned, wait until the server is up;
#             a server to keep is restarted all the same if it is unhealthy
#   verify DIR wait until all servers are healthy as seen from this host
#   status DIR say whether the server runs
#   stop DIR REMOVE_DATA
#             stop the server, with `yes` remove its files as well
#
# LISTED is the server's address:port, PLACE its "index count" in the cluster, and
# SUM_SECRET is "none" for a cluster without a secret.
# Answers are lines that start with @. DIR holds:
#
#   bin/s4, bin/s4-server, bin/s4-s3   the programs
#   s4.conf                 the cluster file
#   secret                  the cluster's secret, if it has one
#   data/                   the server's keys
#   log, pid                its output, its process id
#   started                 checksums and flags the running server was started with
#   place                   its place in the cluster when it was last started

set -euo pipefail
export LC_ALL=C

say() { printf '@%s\n' "$*"; }

fail() {
	say error "$*"
	exit 1
}

# find_pid sets $pid to the server of $dir, or to nothing. A server is told by
# its program and by leading its session: a pid file may be stale or lost.
find_pid() {
	local path target
	pid=
	while read -r path target; do
		[[ $target == "$dir/bin/s4-server" || $target == "$dir/bin/s4-server (deleted)" ]] || continue
		path=${path#/proc/}
		if [[ $(session_of "${path%/exe}") == "${path%/exe}" ]]; then
			pid=${path%/exe}
			return
		fi
	done < <(find /proc -maxdepth 2 -path '/proc/[0-9]*/exe' -printf '%p %l\n' 2>/dev/null)
}

# session_of PID prints its session: the fourth field after "(command name)".
session_of() {
	local stat
	{ stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 0
	stat=${stat##*) }
	read -r _ _ _ stat _ <<<"$stat"
	echo "$stat"
}

is_running() {
	local target
	target=$(readlink "/proc/$1/exe" 2>/dev/null) && [[ $target == "$dir/bin/s4-server"* ]]
}

# health prints what s4 health says, and fails if a server is not healthy.
health() { S4_SECRET_FILE=$(secret_file) timeout 10 "$dir/bin/s4" health -c "$dir/s4.conf" 2>&1 </dev/null; }

# secret_file prints the path of the secret, if there is one.
secret_file() { [[ ! -e $dir/secret ]] || echo "$dir/secret"; }

# own_healthy LISTED: only this host's server matters, the others may be on
# their way, so the exit code of s4 health does not.
own_healthy() { { health || true; } | awk -v own="$1" '$1 == "healthy" && $2 == own { found = 1 } END { exit !found }'; }

sum_of() {
	local sum
	sum=$(sha256sum 2>/dev/null <"$1") && echo "${sum%% *}"
}

# last_log FROM prints the last line that the server logged after byte FROM.
last_log() {
	local line
	line=$(tail -c "+$(($1 + 1))" "$dir/log" 2>/dev/null | grep -v '^ *$' | tail -n 1) || true
	echo "${line:-nothing was logged}"
}

plan() {
	local listed=$1 place=$2 force=$3 sums=("${@:4:5}") flags=("${@:9}")
	local names=(bin/s4 bin/s4-server s4.conf secret bin/s4-s3) i want have reason=''
	[[ $(uname -s) == Linux ]] || fail "not a Linux host: $(uname -s)"
	mkdir -p -- "$dir" 2>/dev/null || fail "cannot make directory $dir"
	[[ -w $dir ]] || fail "cannot write to directory $dir"

	if [[ $force != yes && -r $dir/place && $(<"$dir/place") != "$place" ]] &&
		[[ -n $(find -H "$dir/data" -mindepth 1 -maxdepth 1 ! -name _s4 -print -quit 2>/dev/null) ]]; then
		fail "$dir/data holds keys placed for server $(describe "$(<"$dir/place")"), it would now be $(describe "$place") and not find them (move the data through s4 cp, or stop_cluster.sh --remove-data, or --force)"
	fi

	for i in "${!names[@]}"; do
		[[ ${sums[i]} != none ]] || continue
		have=$(sum_of "$dir/${names[i]}") || have=
		[[ $have == "${sums[i]}" ]] || say need "${names[i]}"
	done

	find_pid
	if [[ -z $pid ]]; then
		say action start
		return
	fi
	want=$(stamp "${sums[1]}" "${sums[2]}" "${sums[3]}" "$place" "${flags[*]}")
	have=$(cat "$dir/started" 2>/dev/null) || have=
	if [[ $have != "$want" ]]; then
		if [[ -z $have ]]; then
			reason="its start was not completed"
		else
			reason=$(grep -vxF -f <(echo "$have") <<<"$want" | head -n 1) || true
			reason="new ${reason%%:*}"
		fi
		say action "restart $reason"
		return
	fi
	say action "keep $pid"
}

describe() { echo "$((${1% *} + 1)) of ${1#* }"; }

stamp() { printf 'program: %s\ncluster file: %s\nsecret: %s\nplace: %s\nflags: %s\n' "$@"; }

deploy() {
	local listed=$1 place=$2 action=$3 sums=("${@:4:5}") flags=("${@:9}") name size log_size status
	mkdir -p -- "$dir/bin"
	while read -r name size; do
		take_file "$name" "$size" || fail "cannot write $dir/$name (disk full?)"
		case $name in
		bin/s4) check_sum "$name" "${sums[0]}" ;;
		bin/s4-server) check_sum "$name" "${sums[1]}" ;;
		s4.conf) check_sum "$name" "${sums[2]}" ;;
		secret) check_sum "$name" "${sums[3]}" ;;
		bin/s4-s3) check_sum "$name" "${sums[4]}" ;;
		*) fail "unexpected file $name" ;;
		esac
		case $name in
		bin/*) chmod 755 -- "$dir/$name.new" ;;
		s4.conf) chmod 644 -- "$dir/$name.new" ;;
		esac
		mv -f -- "$dir/$name.new" "$dir/$name"
	done
	[[ ${sums[3]} != none ]] || rm -f -- "$dir/secret"
	if [[ $action == keep* ]]; then
		for _ in 1 2 3; do
			! own_healthy "$listed" || return 0
			sleep 1
		done
		say unhealthy
	fi

	stop_server
	! own_healthy "$listed" || fail "another s4-server than that of $dir already serves at $listed"
	log_size=$(stat -c %s -- "$dir/log" 2>/dev/null) || log_size=0
	rm -f -- "$dir/started"
	cd -- "$dir"
	# setsid: the server outlives this ssh session, and leads a session of its
	# own, by which its processes are found again.
	S4_SECRET_FILE=$(secret_file) setsid "$dir/bin/s4-server" --dir "$dir/data" --conf "$dir/s4.conf" \
		--index "${place% *}" "${flags[@]}" </dev/null >>"$dir/log" 2>&1 &
	pid=$!
	echo "$pid" >"$dir/pid"
	echo "$place" >"$dir/place"

	local deadline=$((SECONDS + 30))
	until own_healthy "$listed"; do
		if ! kill -0 "$pid" 2>/dev/null; then
			status=0
			wait "$pid" || status=$?
			fail "s4-server at $listed exited with code $status: $(last_log "$log_size")"
		fi
		((SECONDS < deadline)) || fail "s4-server at $listed runs as pid $pid but is not healthy: $({ health || true; } | grep -F -- " $listed" || last_log "$log_size")"
		sleep 0.1
	done
	# Last, so that a start that did not come this far is not taken for one.
	(umask 077 && stamp "${sums[1]}" "${sums[2]}" "${sums[3]}" "$place" "${flags[*]}" >"$dir/started")
	say pid "$pid"
}

# take_file NAME SIZE writes that much of stdin to a new file, which nobody else can
# read, not even for a moment.
take_file() {
	rm -f -- "$dir/$1.new"
	(umask 077 && head -c "$2" >"$dir/$1.new")
}

check_sum() {
	[[ $(sum_of "$dir/$1.new") == "$2" ]] || fail "$dir/$1 did not arrive whole"
}

verify() {
	local deadline=$((SECONDS + 30)) text
	until text=$(health); do
		((SECONDS < deadline)) || fail "seen from here: $(grep -v '^healthy ' <<<"$text" | head -n 1)"
		sleep 0.2
	done
}

# stop_server ends the server, if one runs, and sets $ended to how.
stop_server() {
	local waited stat process
	ended=absent
	find_pid
	[[ -n $pid ]] || return 0
	kill -TERM "$pid" 2>/dev/null || ! is_running "$pid" || fail "may not stop pid $pid, which runs $dir/bin/s4-server"
	ended=stopped
	for ((waited = 0; waited < 100; waited++)); do
		is_running "$pid" || return 0
		sleep 0.1
	done
	ended=killed
	# It had its time to end its commands: end its whole session.
	for stat in /proc/[0-9]*/stat; do
		process=${stat#/proc/}
		process=${process%/stat}
		[[ $(session_of "$process") != "$pid" ]] || kill -KILL "$process" 2>/dev/null || true
	done
	for ((waited = 0; waited < 100; waited++)); do
		is_running "$pid" || return 0
		sleep 0.1
	done
	fail "pid $pid does not even end by SIGKILL"
}

stop() {
	stop_server
	rm -f -- "$dir/pid" "$dir/started" 2>/dev/null || true
	say "$ended" "$pid"
	[[ $1 == yes && -d $dir ]] || return 0
	if [[ -d $dir/data ]]; then
		[[ -d $dir/data/_s4 ]] || fail "$dir/data does not look like the data of a server (it has no _s4): not removed"
		# -H and -mindepth: the data directory may be a link or a mount point.
		find -H "$dir/data" -mindepth 1 -delete || fail "could not remove all of $dir/data"
		rmdir -- "$dir/data" 2>/dev/null || true
	fi
	rm -f -- "$dir/bin/s4" "$dir/bin/s4-server" "$dir/bin/s4-s3" "$dir/s4.conf" "$dir/secret" "$dir/log" "$dir/place" "$dir"/{bin/s4,bin/s4-server,bin/s4-s3,s4.conf,secret}.new
	rmdir -- "$dir/bin" "$dir" 2>/dev/null || true
	say removed "$dir"
}

status() {
	find_pid
	if [[ -n $pid ]]; then say running "$pid"; else say stopped; fi
}

main() {
	local verb=$1
	dir=$2
	shift 2
	[[ $dir == /* ]] || dir=${HOME:?}/$dir
	dir=$(realpath -m -- "$dir")
	case $verb in
	plan) plan "$@" ;;
	deploy) deploy "$@" ;;
	verify) verify ;;
	status) status ;;
	stop) stop "$@" ;;
	*) fail "unknown verb $verb" ;;
	esac
}

# On one line: what follows on stdin is for main, not for bash.
main "$@"; exit
