#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The servers: a real nginx each, and how much of a CPU it may use. Sourced, not run.

LAB_FILES=$LAB_BUILD/files

# A process that may run R ms in every P ms stands still for up to P - R ms. A short period keeps
# such pauses near what a slow request costs anyway; below 1 ms of quota the kernel refuses.
CAPACITY_PERIOD_US=10000
CAPACITY_QUOTA_MIN_US=1000

# lab_nginx [SIZES...]: nginx on every server that has none yet.
lab_nginx() {
	local machine size bytes

	require_lab 'lab nginx'
	require_program nginx nginx-light
	for size in 10k 100m "$@"; do
		bytes=$(file_bytes "$size") || exit
		make_file "$size" "$bytes" || return
	done
	make_file small 100
	for machine in $(machines s); do
		progress "starting nginx on $machine"
		[ -n "$(pid_of "$STATE/$machine/nginx.pid")" ] || start_nginx "$machine" ||
			die "nginx does not start on $machine"
	done
	progress
}

file_bytes() {
	numfmt --from=iec "${1^^}" 2>/dev/null || die "\"$1\" is no size; 500, 10k and 100m are"
}

# Numbered lines, the same every time: a checksum means something, a hole or a swap is readable.
# Kept in build/: labs share them, and the big one is made once.
make_file() {
	local bytes=$2 file=$LAB_FILES/$1

	[ ! -e "$file" ] || return 0
	progress "making the file /$1"
	mkdir -p "$LAB_FILES"
	seq 100000000 $((100000000 + bytes / 10)) | head -c "$bytes" >"$file.$$" &&
		mv "$file.$$" "$file"
}

start_nginx() {
	local machine=$1 prefix=$STATE/$1

	mkdir -p "$prefix/temporary"
	nginx_configuration "$machine" >"$prefix/nginx.conf"
	make_capacity_group "$machine" || return
	(
		enter_capacity_group "$machine"
		inside "$machine" nginx -p "$prefix" -c nginx.conf -e "$prefix/nginx.log"
	) || return
	wait_until 5 test -s "$prefix/nginx.pid"
}

nginx_configuration() {
	cat <<-END
		user root;
		worker_processes 1;
		pid nginx.pid;
		error_log nginx.log;
		events {
			worker_connections 8192;
		}
		http {
			access_log off;
			sendfile on;
			tcp_nopush on;
			client_body_temp_path temporary;
			proxy_temp_path temporary;
			fastcgi_temp_path temporary;
			uwsgi_temp_path temporary;
			scgi_temp_path temporary;
			keepalive_requests 1000000;
			default_type application/octet-stream;
			server {
				listen 0.0.0.0:80 backlog=4096;
				root $LAB_FILES;
				location = /name {
					default_type text/plain;
					return 200 "$1\n";
				}
			}
		}
	END
}

# The directory of the cgroup hierarchy that hands out CPU time: version 1, or else 2.
capacity_root() {
	if [ -e /sys/fs/cgroup/cpu/cpu.cfs_quota_us ]; then
		echo /sys/fs/cgroup/cpu
	elif grep -qw cpu /sys/fs/cgroup/cgroup.controllers 2>/dev/null; then
		echo /sys/fs/cgroup
	else
		die 'no cgroup on this machine hands out CPU time: neither v1 at /sys/fs/cgroup/cpu nor v2'
	fi
}

capacity_group() {
	printf '%s/plimsoll-lab-%s/%s' "$(capacity_root)" "$LAB" "$1"
}

make_capacity_group() {
	local group

	group=$(capacity_group "$1") || return
	mkdir -p "$group" || return
	[ ! -e "$(capacity_root)/cgroup.subtree_control" ] ||
		echo +cpu | tee "$(capacity_root)/cgroup.subtree_control" "${group%/*}/cgroup.subtree_control" \
			>/dev/null
	weigh_group "${group%/*}"
	weigh_group "$group"
}

# A whole group weighs as much as one ordinary process unless told otherwise.
weigh_group() {
	if [ -e "$1/cpu.weight" ]; then
		echo $((LAB_CPU_WEIGHT)) >"$1/cpu.weight"
	else
		echo $((LAB_CPU_WEIGHT * 1024 / 100)) >"$1/cpu.shares"
	fi
}

# The calling subshell moves itself, and takes along whatever it starts.
enter_capacity_group() {
	echo "$BASHPID" >"$(capacity_group "$1")/cgroup.procs"
}

# lab_capacity SERVER PERCENT|max: of one CPU; what runs already feels it at once.
lab_capacity() {
	local machine=${1:-} percent=${2:-} quota period=$CAPACITY_PERIOD_US

	require_lab 'lab capacity'
	require_machine "$machine" s
	if [ "$percent" = max ]; then
		set_capacity "$machine" max "$period"
		return
	fi
	percent=${percent%\%}
	[[ $percent =~ ^[1-9][0-9]{0,3}$ ]] ||
		die "capacity: \"${2:-}\" is none; per cent of one CPU (20%) or max is"
	quota=$((percent * period / 100))
	if [ "$quota" -lt $CAPACITY_QUOTA_MIN_US ]; then
		quota=$CAPACITY_QUOTA_MIN_US
		period=$((quota * 100 / percent))
	fi
	set_capacity "$machine" "$quota" "$period"
}

set_capacity() {
	local group

	make_capacity_group "$1" || return
	group=$(capacity_group "$1")
	if [ -e "$group/cpu.max" ]; then
		echo "$2 $3" >"$group/cpu.max"
		return
	fi
	echo -1 >"$group/cpu.cfs_quota_us"
	echo "$3" >"$group/cpu.cfs_period_us"
	[ "$2" = max ] || echo "$2" >"$group/cpu.cfs_quota_us"
}

capacity_of() {
	local group quota=max period=1

	group=$(capacity_group "$1")
	if [ -e "$group/cpu.max" ]; then
		read -r quota period <"$group/cpu.max"
	elif [ -e "$group/cpu.cfs_quota_us" ]; then
		read -r quota <"$group/cpu.cfs_quota_us"
		read -r period <"$group/cpu.cfs_period_us"
	fi
	case $quota in
	max | -1) echo all ;;
	*) echo "$((quota * 100 / period)) %" ;;
	esac
}

remove_capacities() {
	local group

	group=$(capacity_group '') 2>/dev/null || return 0
	[ -d "$group" ] || return 0
	wait_until 3 remove_groups "$group" || echo "lab: $group cannot be removed" >&2
}

# A group can go only when the last of its dead processes has been reaped.
remove_groups() {
	find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
	[ ! -d "$1" ]
}

# lab_direct SERVERS...: the VIP, as an administrator gives it to a server for DSR without Plimsoll:
# the server takes packets to it as its own, but neither answers nor asks by ARP in its name.
lab_direct() {
	local machine

	require_lab 'lab direct'
	[ $# -ge 1 ] || die 'direct: say which servers: lab direct s1 s2'
	for machine in "$@"; do
		require_machine "$machine" s
		ip -n "$(namespace "$machine")" address replace "$LAB_VIP/32" dev lo || return
		inside "$machine" sysctl -q -w net.ipv4.conf.all.arp_ignore=1 \
			net.ipv4.conf.all.arp_announce=2 net.ipv4.conf.all.rp_filter=0 \
			net.ipv4.conf.eth0.rp_filter=0 || return
	done
}
