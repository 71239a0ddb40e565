#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The network: machines that are namespaces, around a switch that is a bridge. Sourced, not run.

lab_up() {
	local clients=1 balancers=1 servers=4 argument

	require_root 'lab up'
	for argument in "$@"; do
		case $argument in
		clients=*) clients=${argument#*=} ;;
		balancers=*) balancers=${argument#*=} ;;
		servers=*) servers=${argument#*=} ;;
		*) die "up: \"$argument\" is unknown; name=, clients=, balancers=, servers= are known" ;;
		esac
	done
	check_count clients "$clients" 0 50
	check_count balancers "$balancers" 0 8
	check_count servers "$servers" 0 80

	claim_name
	progress "removing what is left of \"$LAB\""
	take_down
	build_pass_program
	# shellcheck disable=SC2153 # set by lab_select
	mkdir -p "$STATE"
	seq -f 'c%.0f' 1 "$clients" >"$STATE/machines"
	seq -f 'b%.0f' 1 "$balancers" >>"$STATE/machines"
	seq -f 's%.0f' 1 "$servers" >>"$STATE/machines"
	if ! build_network; then
		take_down
		die "the network of \"$LAB\" could not be made; what was there is removed again"
	fi
	exec 9>&- # what is started from here on is not to inherit the lock
}

# Two at a time would tear down what the other makes.
claim_name() {
	mkdir -p /run/lock # a container may have an empty /run
	exec 9>"/run/lock/plimsoll-lab-$LAB" || exit
	flock -w 5 9 ||
		die "somebody else is making or removing the lab \"$LAB\" right now; wait, or choose another name=NAME"
}

check_count() {
	if ! [[ $2 =~ ^[0-9]+$ ]] || [ "$2" -lt "$3" ] || [ "$2" -gt "$4" ]; then
		die "up: $1=$2 is not possible; a number from $3 to $4 is"
	fi
}

# Into a file of its own and then moved: several labs may come up at the same time.
build_pass_program() {
	local source=$ROOT/lab/pass.bpf.c object=$LAB_BUILD/pass.bpf.o

	[ ! -e "$object" ] || [ "$source" -nt "$object" ] || return 0
	mkdir -p "$LAB_BUILD"
	"${CLANG:-clang}" -O2 -g -target bpf -isystem "/usr/include/$(uname -m)-linux-gnu" \
		-c -o "$object.$$" "$source" || die "$source does not compile"
	mv "$object.$$" "$object"
}

build_network() {
	local machine

	make_switch || return
	for machine in $(machines); do
		progress "making $machine"
		make_machine "$machine" || return
	done
	progress
}

make_switch() {
	local switch

	switch=$(namespace switch)
	ip netns add "$switch" || return
	ip netns exec "$switch" sysctl -qe -w net.ipv6.conf.default.disable_ipv6=1 \
		net.ipv6.conf.all.disable_ipv6=1 || return
	ip -n "$switch" -batch - <<-END || return
		link set lo up
		link add bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0
		link set bridge up
	END
	# A switch filters nothing: frames are not to pass iptables, nor have their options checked.
	ip netns exec "$switch" sysctl -qe -w net.bridge.bridge-nf-call-iptables=0 \
		net.bridge.bridge-nf-call-arptables=0
}

make_machine() {
	local machine=$1 switch here

	switch=$(namespace switch)
	here=$(namespace "$machine")
	ip netns add "$here" || return
	ip netns exec "$here" sysctl -qe -w net.ipv6.conf.default.disable_ipv6=1 \
		net.ipv6.conf.all.disable_ipv6=1 || return
	ip -n "$switch" -batch - <<-END || return
		link add $machine type veth peer name eth0 address $(mac "$machine") netns $here
		link set $machine master bridge
		link set $machine up
	END
	ip -n "$here" -batch - <<-END || return
		link set lo up
		address add $(address "$machine")/24 dev eth0
		link set eth0 up
	END
	tune_"${machine:0:1}" "$machine"
}

# A packet from a local socket crosses a veth with its checksum unfinished, to be done by a NIC
# that never comes. XDP forgets that it is unfinished, so whoever sends through a balancer must
# finish it: a client's requests, and a server's answers when they carry a report.
finish_checksums() {
	inside "$1" ethtool -K eth0 tx off >/dev/null
}

# Many connections a second from one address: all ports are to be had.
tune_c() {
	finish_checksums "$1" &&
		inside "$1" sysctl -q -w net.ipv4.ip_local_port_range='1024 65535'
}

tune_b() {
	ip -n "$(namespace switch)" link set "$1" xdpdrv obj "$LAB_BUILD/pass.bpf.o" sec xdp
}

tune_s() {
	finish_checksums "$1" && inside "$1" sysctl -q -w net.core.somaxconn=4096
}

# The namespaces of this lab that exist, whether or not anybody remembers having made them.
own_namespaces() {
	ip netns list | awk -v lab="$LAB" '$1 ~ "^" lab "-([cbs][0-9]+|switch)$" { print $1 }'
}

lab_down() {
	require_root 'lab down'
	claim_name
	take_down
	rm -f "/run/lock/plimsoll-lab-$LAB"
	exec 9>&-
}

take_down() {
	local namespace

	end_processes
	for namespace in $(own_namespaces); do
		ip netns delete "$namespace"
	done
	remove_capacities
	remove_instances
	rm -rf "$STATE"
	rmdir "$LAB_STATES" 2>/dev/null || true
}

own_processes() {
	local namespace

	for namespace in $(own_namespaces); do
		ip netns pids "$namespace" | grep -vx $$
	done
}

no_own_processes() {
	[ -z "$(own_processes)" ]
}

end_processes() {
	signal_own_processes TERM
	wait_until 3 no_own_processes && return
	signal_own_processes KILL
	wait_until 3 no_own_processes || echo "lab: some processes of \"$LAB\" do not end" >&2
}

# lab_cut MACHINES..., lab_plug MACHINES...: at the switch, so that the machine itself notices nothing.
lab_cut() {
	set_cables down cut "$@"
}

lab_plug() {
	set_cables up plug "$@"
}

set_cables() {
	local state=$1 verb=$2 machine

	require_lab "lab $verb"
	shift 2
	[ $# -gt 0 ] || die "$verb: say which machines: lab $verb b1"
	for machine in "$@"; do
		require_machine "$machine"
		ip -n "$(namespace switch)" link set "$machine" "$state" || return
	done
}

signal_own_processes() {
	local pid

	for pid in $(own_processes); do
		kill "-$1" "$pid" 2>/dev/null
	done
}

lab_exec() {
	require_lab 'lab exec'
	[ $# -ge 2 ] || die 'exec: say where and what: lab exec c1 curl http://10.1.0.11/name'
	[ "$1" = switch ] || require_machine "$1"
	inside "$@"
}

lab_status() {
	local directory

	for directory in "$LAB_STATES"/*/; do
		[ -d "$directory" ] || { echo 'no lab is up'; return; }
		lab_select "$(basename "$directory")"
		describe
	done
}

describe() {
	local machine

	printf 'lab %s, VIP %s\n' "$LAB" "$LAB_VIP"
	for machine in $(machines); do
		printf '  %-4s %-11s %s  %s\n' "$machine" "$(address "$machine")" "$(mac "$machine")" \
			"$(describe_programs "$machine")"
	done
}

describe_programs() {
	[ -z "$(pid_of "$STATE/$1/nginx.pid")" ] || printf 'nginx (%s of a CPU) ' "$(capacity_of "$1")"
	[ -z "$(pid_of "$STATE/$1/plimsoll.pid")" ] || printf 'plimsoll '
}
