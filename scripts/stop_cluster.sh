#!/usr/bin/env bash
# stop_cluster.sh: stop the servers that new_cluster.sh started.
#
# Usage: scripts/stop_cluster.sh [OPTION...] HOST...
#
# HOST is [user@]name[:sshport][/[address:]serverport], as for new_cluster.sh;
# give the same HOSTs and the same --port and --dir.
#
#   --remove-data      remove the data, programs and logs of the servers as well
#   --port PORT        server port where HOST gives none (default: 4000)
#   --dir DIR          a server's directory on its host; %p is the server's port
#                      (default: ~/.s4/%p)
#   --ssh-option OPT   passed as ssh -o OPT; may be repeated
#   -h, --help         this text
#
# S4_SSH_OPTS holds more arguments for ssh, split at blanks.
#
# A server gets SIGTERM and 10 seconds to end its jobs; then it is killed, with a
# warning. A server that does not run is fine: the script may be run again.

set -euo pipefail
program=stop_cluster.sh
# shellcheck source-path=SCRIPTDIR source=cluster_lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/cluster_lib.sh"

remove_data=no given=()
while (($#)); do
	option=$1
	shift
	case $option in
	-h | --help)
		usage
		exit 0
		;;
	--remove-data)
		remove_data=yes
		continue
		;;
	--*=*)
		value=${option#*=}
		option=${option%%=*}
		;;
	--port | --dir | --ssh-option)
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
	*) bad_usage "unknown option: $option" ;;
	esac
done
parse_hosts "${given[@]}"
start_work

# shellcheck disable=SC2317 # on_hosts calls it
stop() { remote "$1" stop "${dirs[$1]}" "$remove_data"; }

failed=0
on_hosts stop || failed=1
for i in "${!hosts[@]}"; do
	while read -r how what; do
		case $how in
		absent) echo "${hosts[i]}: server ${listed[i]} was not running" ;;
		stopped) echo "${hosts[i]}: server ${listed[i]} stopped, was pid $what" ;;
		killed) echo "$program: ${hosts[i]}: warning: server ${listed[i]}, pid $what, did not stop within 10 s and was killed" >&2 ;;
		removed) echo "${hosts[i]}: removed what was in $what" ;;
		esac
	done <"$work/$i.said"
done
((failed == 0)) || report_errors
exit "$failed"
