#!/usr/bin/env bash
# new_cluster.sh: start an s4 cluster on hosts reached over ssh.
#
# Usage: scripts/new_cluster.sh [OPTION...] HOST...
#
# HOST is [user@]name[:sshport][/[address:]serverport], one server each; their
# order is the order of the cluster file. IPv6 addresses stand in [].
#
#   10.0.0.1                    ssh to it, serve at 10.0.0.1:4000
#   me@10.0.0.1:2222            another user, another ssh port
#   10.0.0.1/4001               another server port
#   web1/10.0.0.1:4000          ssh to web1, which the cluster knows as 10.0.0.1
#
#   --port PORT        server port where HOST gives none (default: 4000)
#   --dir DIR          a server's directory on its host: programs, data, log, pid;
#                      %p is the server's port (default: ~/.s4/%p)
#   --bin DIR          where s4 and s4-server are, here, and s4-s3 if the servers are to
#                      have it (default: the checkout's bin, built if need be)
#   --conf FILE        the cluster file to write, here (default: $S4_CONF_PATH,
#                      else ~/.s4.conf)
#   --secret-file FILE the cluster's secret, here, which is made if absent and copied
#                      to all hosts (default: $S4_SECRET_FILE, else the cluster file
#                      with .secret in place of .conf: ~/.s4.secret)
#   --no-secret        whoever can connect to the servers may use them
#   --server-flags STR more flags for s4-server, as in '--fsync --max-cpu-jobs 4'
#   --ssh-option OPT   passed as ssh -o OPT; may be repeated
#   --force            go on although data was placed for another cluster
#   -h, --help         this text
#
# S4_SSH_OPTS holds more arguments for ssh, split at blanks.
#
# Run it again at any time: a healthy server with the same program, cluster file,
# secret and flags is left alone, everything else is brought in line. The cluster file
# is written when all servers are healthy, as seen from each host and from here.
# To stop: stop_cluster.sh with the same HOSTs.

set -euo pipefail
program=new_cluster.sh
# shellcheck source-path=SCRIPTDIR source=cluster_lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/cluster_lib.sh"

bin='' conf=${S4_CONF_PATH:-} secret=${S4_SECRET_FILE:-} with_secret=yes force=no server_flags=() given=()
while (($#)); do
	option=$1
	shift
	case $option in
	-h | --help)
		usage
		exit 0
		;;
	--force)
		force=yes
		continue
		;;
	--no-secret)
		with_secret=no
		continue
		;;
	--*=*)
		value=${option#*=}
		option=${option%%=*}
		;;
	--port | --dir | --bin | --conf | --secret-file | --server-flags | --ssh-option)
		(($#)) || bad_usage "$option needs a value"
		value=$1
		shift
		;;
	-*) bad_usage "unknown option: $option" ;;
	*)
		given+=("$option")
		continue
		;;
	esac
	case $option in
	--port | --dir | --ssh-option) shared_option "$option" "$value" ;;
	--bin) bin=$value ;;
	--conf) conf=$value ;;
	--secret-file) secret=$value ;;
	--server-flags) read -ra server_flags <<<"$value" ;;
	*) bad_usage "unknown option: $option" ;;
	esac
done
parse_hosts "${given[@]}"
count=${#hosts[@]}
conf=${conf:-${HOME:?HOME is not set, use --conf}/.s4.conf}

if [[ -z $bin ]]; then
	root=$(cd -- "$scripts/.." && pwd)
	bin=$root/bin
	if [[ ! -x $bin/s4 || ! -x $bin/s4-server ]]; then
		"$scripts/install.sh" --prefix "$root" >/dev/null || fail "could not build s4 and s4-server"
	fi
fi
for name in s4 s4-server; do
	[[ -f $bin/$name && -x $bin/$name ]] || fail "no program $bin/$name (see --bin)"
done

if [[ $with_secret == no ]]; then
	secret=
else
	secret=$(realpath -m -- "${secret:-${conf%.conf}.secret}")
fi
export S4_SECRET_FILE=$secret # for s4, here

start_work
printf '%s\n' "${listed[@]}" >"$work/s4.conf"
files=("$bin/s4" "$bin/s4-server" "$work/s4.conf")
if [[ -n $secret ]]; then
	if [[ ! -e $secret ]]; then
		mkdir -p -- "$(dirname -- "$secret")"
		problem=$("$bin/s4" secret -q "$secret" 2>&1 >/dev/null) || fail "${problem#s4: secret: }"
	fi
	problem=$("$bin/s4" config -c "$work/s4.conf" 2>&1 >/dev/null) || fail "${problem#s4: config: }"
	files+=("$secret")
fi
sums=()
for file in "${files[@]}"; do
	sum=$(sha256sum <"$file")
	sums+=("${sum%% *}")
done
[[ -n $secret ]] || sums+=(none)
if [[ -f $bin/s4-s3 && -x $bin/s4-s3 ]]; then
	sum=$(sha256sum <"$bin/s4-s3")
	sums+=("${sum%% *}")
else
	sums+=(none)
fi

plan() { remote "$1" plan "${dirs[$1]}" "${listed[$1]}" "$1 $count" "$force" "${sums[@]}" "${server_flags[@]}"; }

deploy() {
	local i=$1 name
	for name in ${needs[i]}; do
		case $name in
		s4.conf) payload+=("$name=$work/s4.conf") ;;
		secret) payload+=("$name=$secret") ;;
		bin/*) payload+=("$name=$bin/${name#bin/}") ;;
		esac
	done
	remote "$i" deploy "${dirs[i]}" "${listed[i]}" "$i $count" "${actions[i]}" "${sums[@]}" "${server_flags[@]}"
}

verify() { remote "$1" verify "${dirs[$1]}"; }

status() { remote "$1" status "${dirs[$1]}"; }

# give_up says on every host what runs and what does not.
give_up() {
	local i state
	on_hosts status || true
	for i in "${!hosts[@]}"; do
		state=$(said "$i" running)
		if [[ -n $state ]]; then
			state="running, pid $state"
		elif grep -q '^stopped' "$work/$i.said"; then
			state='not running'
		else
			state='not known'
		fi
		echo "  ${hosts[i]}: server ${listed[i]} $state" >&2
	done
	fail "$1; $conf was not written"
}

on_hosts plan || {
	report_errors
	give_up "nothing was changed"
}
needs=() actions=()
for i in "${!hosts[@]}"; do
	needs+=("$(said "$i" need | tr '\n' ' ')")
	actions+=("$(said "$i" action)")
done

deployed=yes
on_hosts deploy || deployed=no
for i in "${!hosts[@]}"; do
	if [[ $(cat "$work/$i.status") != 0 ]]; then
		report_error "$i"
		continue
	fi
	action=${actions[i]}
	! grep -q '^unhealthy' "$work/$i.said" || action='restart was unhealthy'
	case $action in
	keep*) text="left running, pid ${action#keep }" ;;
	start) text="started, pid $(said "$i" pid)" ;;
	*) text="restarted (${action#restart }), pid $(said "$i" pid)" ;;
	esac
	echo "${hosts[i]}: server ${listed[i]} $text"
done
[[ $deployed == yes ]] || give_up "not all servers started"

on_hosts verify || {
	report_errors
	give_up "the servers do not all see each other"
}
deadline=$((SECONDS + 10))
until health=$("$bin/s4" health -c "$work/s4.conf" 2>&1); do
	if ((SECONDS >= deadline)); then
		grep -v '^healthy ' <<<"$health" | sed "s/^/$program: seen from here: /" >&2 || true
		give_up "the servers see each other, but this machine does not see them"
	fi
	sleep 0.2
done

if ! cmp -s -- "$work/s4.conf" "$conf"; then
	if [[ -s $conf ]]; then
		cp -f -- "$conf" "$conf.old"
		echo "the former $conf is now $conf.old"
	fi
	mkdir -p -- "$(dirname -- "$conf")"
	cp -- "$work/s4.conf" "$conf.new.$$"
	mv -f -- "$conf.new.$$" "$conf"
fi
echo "$count servers healthy, cluster file $conf"
[[ -z $secret ]] || printf 'export S4_SECRET_FILE=%q\n' "$secret"
