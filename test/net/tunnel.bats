#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Packets that reach their servers in an outer header: the servers take it off without any tunnel
# device, leave room for it, and tell whose packets they were.

load helpers

setup_file() {
	open_lab clients=1 servers=2
	[ -n "${LAB:-}" ] || return 0
	lab nginx
	lab config
	sed -i 's/forward: l2/forward: ipip/' "$LAB_STATES/$LAB/b1/balancer.yaml"
	lab start all
}

show() { # show MACHINE FILTER
	lab show "$1" --json | jq "$2"
}

@test "100 MB and 80 names arrive, and what was in an outer header is metered" {
	local machine

	expect "$(fetch 100m | checksum)" = "$(checksum_of 100m)"
	run -0 fetch_names 80
	expect "$(sort -u <<<"$output" | xargs)" = 's1 s2'
	for machine in s1 s2; do
		holds "$(show "$machine" .tunnel.packets) > 0"
		expect "$(show "$machine" .tunnel.refused)" -eq 0
		expect "$(show "$machine" .load.in_flight)" -eq 0
		# All of them have come from the one balancer, whatever outer sources it has used.
		expect "$(show "$machine" '.balancers[0].connections_seen == .load.connections')" = true
	done
	holds "$(show b1 '[.services[].backends[].reports] | add') > 0"
}

@test "requests of several full segments fit, since SYN-ACKs leave room for the outer header" {
	local large

	large=$(printf '%07000d' 0)
	run -0 inside c1 curl -sS --fail --max-time 20 -H "X-One: $large" -H "X-Two: $large" "http://$LAB_VIP/name"
	[[ $output =~ ^s[12]$ ]]
	run -0 inside c1 python3 - "$LAB_VIP" <<-'PYTHON'
		import socket, sys
		peer = socket.create_connection((sys.argv[1], 80), timeout=10)
		print(peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))
	PYTHON
	# 1500, less two headers of IPv4, one of TCP and its timestamps.
	expect "$output" -eq 1428
}

@test "nobody but a balancer gets anything through a server" {
	local before after

	before=$(show s1 .tunnel)
	run -0 inside c1 python3 - "$(address s1)" "$LAB_VIP" <<-'PYTHON'
		import socket, struct, sys
		def header(length, protocol, source, destination):
		    return struct.pack('!BBHHHBBH4s4s', 0x45, 0, length, 0, 0, 64, protocol, 0,
		                       socket.inet_aton(source), socket.inet_aton(destination))
		own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		own.connect((sys.argv[1], 9))
		source = own.getsockname()[0]
		syn = struct.pack('!HHIIBBHHH', 4000, 80, 1, 0, 0x50, 2, 1000, 0, 0)
		inner = header(40, 6, source, sys.argv[2]) + syn
		raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
		raw.sendto(header(60, 4, source, sys.argv[1]) + inner, (sys.argv[1], 0))
	PYTHON
	wait_until 5 refused_one "$before"
	after=$(show s1 .tunnel)
	expect "$(jq .packets <<<"$after")" -eq "$(jq .packets <<<"$before")"
}

refused_one() {
	[ "$(show s1 .tunnel.refused)" -eq $(($(jq .refused <<<"$1") + 1)) ]
}
