#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Nobody waits for ARP: backends that move, are away, or come; clients that the balancer has not seen
# or that are behind a gateway.

load helpers

setup_file() {
	open_lab clients=3 servers=3
	[ -n "${LAB:-}" ] || return 0
	lab nginx
	lab config
	lab direct s3
	lab wire start
}

setup() {
	[ "$(id -u)" -eq 0 ] || skip 'network namespaces are root'\''s to make'
	[ -n "$(pid_of "$STATE/b1/plimsoll.pid")" ] || lab start b1 s1 s2
}

link() { # MACHINE ARGUMENTS...
	ip -n "$(namespace "$1")" link set eth0 "${@:2}"
}

# served_by SERVER: it is among those that answer 20 requests, and all are answered.
served_by() {
	local names

	names=$(inside c1 curl -s --fail-early --max-time 5 --connect-timeout 1 -H 'Connection: close' \
		"http://$LAB_VIP/name?[1-20]" 3>&-) || return
	[ "$(wc -l <<<"$names")" -eq 20 ] && grep -qx "$1" <<<"$names"
}

@test "a backend that is away at the start is waited for, warned of, and served when it comes" {
	lab stop all
	link s3 down
	ip -n "$(namespace b1)" neighbour flush dev eth0
	lab start b1 s1 s2
	grep -q "warning: .*$(address s3) does not answer" "$STATE/b1/plimsoll.log"
	grep -q 'ready: .* 2 of 3 backends' "$STATE/b1/plimsoll.log"
	wait_until 10 backend_is s3 .state down
	run -0 fetch_names 40
	expect "$(sort -u <<<"$output" | xargs)" = 's1 s2'
	link s3 up
	wait_until 5 takes_connections s3
	wait_until 5 served_by s3
	expect "$(counter b1 no-neighbour)" -eq 0
}

@test "what nobody can answer is told for what it is: an interface that is down, an address of one's own" {
	local file=$STATE/b1/balancer.yaml

	lab stop all
	cp "$file" "$BATS_TEST_TMPDIR/original.yaml"
	sed -i "s/$(address s3),/$(address b1),/" "$file"
	link b1 down
	lab start b1
	grep -q 'warning: interfaces: "eth0" is down or has no carrier' "$STATE/b1/plimsoll.log"
	link b1 up
	grep -q "warning: backend $(address b1) is this host's own address" "$STATE/b1/plimsoll.log"
	run -1 lab plimsoll b1 doctor --json
	run -0 jq -r '.checks[] | select(.name == "next-hops").findings[].saw' <<<"$output"
	says "backend $(address b1) is this host's own address"
	lab stop b1
	cp "$BATS_TEST_TMPDIR/original.yaml" "$file"
}

@test "a backend that goes away is left alone within seconds, and served when it is back" {
	link s3 down
	wait_until 10 backend_is s3 .state down
	run -0 fetch_names 40
	expect "$(sort -u <<<"$output" | xargs)" = 's1 s2'
	link s3 up
	wait_until 5 takes_connections s3
	wait_until 5 served_by s3
}

@test "a backend's new MAC address is followed, by its reports too" {
	local new=02:00:00:00:05:77 reports refused

	expect "$(backend s1 .mac)" = "$(mac s1)"
	link s1 down
	link s1 address "$new"
	link s1 up
	wait_until 3 backend_is s1 .mac "$new"
	wait_until 3 served_by s1
	reports=$(backend s1 .reports)
	refused=$(counter b1 report-wrong-source)
	fetch_names 40
	expect "$(backend s1 .reports)" -gt "$reports"
	expect "$(counter b1 report-wrong-source)" -eq "$refused"
}

@test "a client whose MAC address the balancer does not know gets its first answer at once" {
	local resolving time

	resolving=$(counter b1 report-resolving)
	for _ in {1..5}; do
		# Only the balancer forgets; and what it asks for is what it needs for the SYN-ACK.
		ip -n "$(namespace b1)" neighbour flush to "$(address c1)"
		expect -z "$(ip -n "$(namespace b1)" neighbour show to "$(address c1)" nud reachable)"
		time=$(fetch name -o /dev/null -w '%{time_total}')
		holds "$time < 0.9"
	done
	expect "$(counter b1 report-resolving)" -gt "$resolving"
	expect "$(inside c1 nstat -asz TcpExtTCPSynRetrans | awk '/Retrans/ { print $2 }')" -eq 0
}

# c3 is moved to a network behind c2; its carriers have to take that way too.
@test "a client behind a gateway gets its answers and its carriers" {
	local reports machine

	ip -n "$(namespace c2)" address add 10.9.0.1/24 dev eth0
	inside c2 sysctl -q -w net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0 \
		net.ipv4.conf.eth0.send_redirects=0
	ip -n "$(namespace c3)" address flush dev eth0
	ip -n "$(namespace c3)" address add 10.9.0.3/24 dev eth0
	ip -n "$(namespace c3)" route add default via 10.9.0.1
	for machine in b1 s1 s2 s3; do
		ip -n "$(namespace "$machine")" route add 10.9.0.0/24 via "$(address c2)"
	done
	fetch_names 2 c3
	wait_until 5 wire_is_quiet
	reports=$(counter b1 report-taken)
	run -0 fetch_names 40 c3
	expect "$(wc -l <<<"$output")" -eq 40
	expect "$(counter b1 report-taken)" -gt "$reports"
	expect "$(inside c3 curl -sS --fail --max-time 60 "http://$LAB_VIP/100m" | checksum)" = \
		"$(checksum_of 100m)"
}
