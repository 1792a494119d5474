# shellcheck shell=bash disable=SC2154,SC2034
# cluster_lib.sh: what new_cluster.sh and stop_cluster.sh share: the HOST
# syntax, common options, and running cluster_remote.sh on every host at once.
#
# Usage: . cluster_lib.sh, after setting $program
#
# HOST is [user@]name[:sshport][/[address:]serverport]

scripts=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

# Options common to both scripts, set by shared_option.
default_port=4000
server_dir=.s4/%p
ssh_options=()
payload=() # files for remote to send, as NAME=FILE

# One entry per HOST, in order, set by parse_hosts.
hosts=()     # as typed: how errors name a host
ssh_dests=() # what ssh is given: [user@]name
ssh_ports=() # empty: ssh's default
listed=()    # address:port, the line of the cluster file
dirs=()      # the server's directory on its host

usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; }

bad_usage() {
	echo "$program: $1 (see $program --help)" >&2
	exit 2
}

fail() {
	echo "$program: $1" >&2
	exit 1
}

# shared_option NAME VALUE takes an option that both scripts have.
shared_option() {
	case $1 in
	--port)
		is_port "$2" || bad_usage "--port: not a port: $2"
		default_port=$((10#$2))
		;;
	--dir)
		# Shell syntax for the home directory of the remote user, were it not quoted.
		server_dir=${2#'~/'}
		[[ -n $server_dir && $server_dir != *[[:cntrl:]]* ]] || bad_usage "--dir: not a directory: $2"
		;;
	--ssh-option) ssh_options+=(-o "$2") ;;
	esac
}

is_port() { [[ $1 =~ ^[0-9]{1,5}$ ]] && ((10#$1 > 0 && 10#$1 < 65536)); }

# split_address TEXT sets $address, without brackets, and $port from
# name, name:port, [v6] or [v6]:port.
split_address() {
	local text=$1
	port=
	if [[ $text =~ ^\[([0-9A-Za-z:.%]+)\](:(.*))?$ ]]; then
		address=${BASH_REMATCH[1]} port=${BASH_REMATCH[3]}
		[[ -z ${BASH_REMATCH[2]} || -n $port ]] || return 1
	elif [[ $text =~ ^([A-Za-z0-9_][A-Za-z0-9._-]*)(:(.*))?$ ]]; then
		address=${BASH_REMATCH[1]} port=${BASH_REMATCH[3]}
		[[ -z ${BASH_REMATCH[2]} || -n $port ]] || return 1
	else
		return 1
	fi
	[[ -z $port ]] || is_port "$port"
}

# parse_hosts HOST... fills the arrays.
parse_hosts() {
	(($#)) || bad_usage "no HOST given"
	local host front back user address port ssh_name server_address server_port line other
	for host in "$@"; do
		front=${host%%/*} back=${host#"${host%%/*}"} user=
		if [[ $front == *@* ]]; then
			user=${front%@*}@
			[[ $user =~ ^[A-Za-z0-9._][A-Za-z0-9._@\\-]*$ ]] || bad_usage "bad user in HOST: $host"
		fi
		split_address "${front##*@}" || bad_usage "bad HOST: $host, want [user@]name[:sshport][/[address:]serverport], IPv6 in []"
		ssh_name=$address server_address=$address server_port=$default_port
		ssh_ports+=("$port")
		if [[ -n $back ]]; then
			back=${back#/}
			if is_port "$back"; then
				server_port=$((10#$back))
			elif split_address "$back" && [[ -n ${address//[0-9]/} ]]; then
				server_address=$address
				[[ -z $port ]] || server_port=$((10#$port))
			else
				bad_usage "bad HOST: $host, want a port or address:port after the slash"
			fi
		fi
		[[ $server_address != *:* ]] || server_address="[$server_address]"
		line=$server_address:$server_port
		for other in "${listed[@]}"; do
			[[ $other != "$line" ]] || bad_usage "two servers at $line: give one another port, as in $host with /serverport"
		done
		hosts+=("$host")
		ssh_dests+=("$user$ssh_name")
		listed+=("$line")
		dirs+=("${server_dir//%p/$server_port}")
	done
}

# start_work makes $work, a scratch directory that goes away with the script,
# as do its ssh processes.
start_work() {
	work=$(mktemp -d)
	set -m # a process group for each background job, so that ssh ends with it
	trap 'stop_jobs; rm -rf -- "$work"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

stop_jobs() {
	local group
	exec 2>/dev/null # bash would announce each job it ends
	for group in $(jobs -p); do
		kill -- "-$group" 2>/dev/null || true
	done
}

# on_hosts FUNCTION runs FUNCTION I for every host in parallel. Its exit status
# goes to $work/I.status; on_hosts fails if any did.
on_hosts() {
	local i failed=0 status
	for i in "${!hosts[@]}"; do
		rm -f -- "$work/$i".*
		{
			status=0
			"$1" "$i" || status=$?
			echo "$status" >"$work/$i.status"
		} &
	done
	wait
	for i in "${!hosts[@]}"; do
		[[ $(cat "$work/$i.status") == 0 ]] || failed=1
	done
	return "$failed"
}

# remote I VERB ARG... runs cluster_remote.sh on host I, with the files of
# payload=(NAME=FILE...) behind it.
#
# The script, its arguments and the files travel on stdin, so no login shell
# gets to interpret them. What it says are the lines that start with @: the rest
# is noise from the host's shell startup files.
remote() {
	local i=$1 port_flag=() more_options=() status=0
	shift
	[[ -z ${ssh_ports[i]} ]] || port_flag=(-p "${ssh_ports[i]}")
	read -ra more_options <<<"${S4_SSH_OPTS-}"
	ssh "${ssh_options[@]}" "${more_options[@]}" \
		-o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=10 \
		"${port_flag[@]}" -- "${ssh_dests[i]}" bash -s \
		< <(remote_input "$@" 2>/dev/null) \
		>"$work/$i.out" 2>"$work/$i.err" || status=$?
	sed -n 's/^@//p' "$work/$i.out" >"$work/$i.said"
	return "$status"
}

remote_input() {
	local entry
	printf 'set --'
	printf ' %q' "$@"
	printf '\n'
	cat -- "$scripts/cluster_remote.sh"
	for entry in "${payload[@]}"; do
		printf '%s %s\n' "${entry%%=*}" "$(stat -L -c %s -- "${entry#*=}")"
		cat -- "${entry#*=}"
	done
}

# said I WORD prints what host I said about WORD: the rest of each @WORD line.
said() { sed -n "s/^$2 //p" "$work/$1.said"; }

# report_error I prints the one line that says why the last remote on host I
# failed: the script's own, or else the last of ssh's.
report_error() {
	local i=$1 text
	text=$(said "$i" error | head -n 1)
	if [[ -z $text ]]; then
		text=$(tr -d '\r' <"$work/$i.err" | grep -v '^ *$' | tail -n 1) || true
		text=${text:-the ssh session ended without a word}
		if [[ $(cat "$work/$i.status") == 255 ]]; then
			case $text in
			*'Host key verification failed'*) text+=" (log in once by hand, or --ssh-option StrictHostKeyChecking=accept-new)" ;;
			*'Permission denied'*) text+=" (the scripts cannot type passwords: use a key or an agent)" ;;
			esac
			text="ssh failed: $text"
		fi
	fi
	echo "$program: ${hosts[i]}: $text" >&2
}

# report_errors does so for every host on which the last on_hosts failed.
report_errors() {
	local i
	for i in "${!hosts[@]}"; do
		[[ $(cat "$work/$i.status") == 0 ]] || report_error "$i"
	done
}
