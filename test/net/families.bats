#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Services and servers of both families, by L2 and inside packets (forward: ipip): real requests,
# reports that come back, and health checks, in each combination.

load helpers

setup_file() {
	open_lab clients=1 balancers=1 servers=2
	[ -n "${LAB:-}" ] || return 0
	lab nginx
	lab config
	enable_ipv6 c1 b1 s1 s2
}

teardown() {
	[ -n "${LAB:-}" ] || return 0
	lab stop all
}

# begin VIP BACKENDS FORWARD [KEYS...]: VIP and BACKENDS: 4 or 6.
begin() {
	local balancer s1 s2 machine brackets=$LAB_VIP
	vip=$LAB_VIP family=$1
	s1=$(address s1) s2=$(address s2) balancer=$(address b1)
	if [ "$1" = 6 ]; then
		vip=2001:db8::64 brackets="[2001:db8::64]"
	fi
	if [ "$2" = 6 ]; then
		s1=$(address6 s1) s2=$(address6 s2) balancer=$(address6 b1)
	fi
	cat >"$STATE/b1/balancer.yaml" <<-END
		interfaces: [eth0]
		listen: none
		${4:-}
		services:
		  - name: web
		    address: "$brackets:80"
		    weights: configured
		    backends:
		      - {address: "$s1", forward: $3}
		      - {address: "$s2", forward: $3}
	END
	for machine in s1 s2; do
		cat >"$STATE/$machine/server.yaml" <<-END
			interfaces: [eth0]
			balancers: ["$balancer"]
			services: [{name: web, address: "$brackets:80"}]
		END
	done
	url=http://$brackets/name
	lab start all
	[ "$1" = 4 ] || listen_in_ipv6 "$vip" s1 s2
}

# Each costs some seconds: two of them show both families, both ways and both outer headers.
one_of_all() {
	[ -n "${EVERY_COMBINATION:-}" ] || skip 'make test-families runs every combination'
}

# Every request is answered, by each of the two, and both have told their load.
works() {
	local _

	for _ in {1..40}; do
		inside c1 curl -sS --max-time 5 "$url"
	done | sort | uniq -c >"$BATS_TEST_TMPDIR/answers"
	cat "$BATS_TEST_TMPDIR/answers"
	[ "$(awk '{ sum += $1 } END { print sum }' "$BATS_TEST_TMPDIR/answers")" -eq 40 ]
	[ "$(wc -l <"$BATS_TEST_TMPDIR/answers")" -eq 2 ]
	show b1 '.services[0].backends[] | [.address, .reports, .connections]' >&2
	[ "$(show b1 '[.services[0].backends[].reports > 0] | all')" = true ]
}

first_is() { # STATE WORDS: s1, and its cause
	[ "$(show b1 '.services[0].backends[0].state')" = "$1" ] &&
		[[ $(show b1 '.services[0].backends[0].cause') == *"$2"* ]]
}

# vip_of MACHINE add|delete: the service's address.
vip_of() {
	local nodad=()

	[ "$2$family" != add6 ] || nodad=(nodad)
	ip -n "$(namespace "$1")" address "$2" "$vip" dev lo "${nodad[@]}"
}

begin_checks() {
	sed -i '/weights: configured/a\    health: {check: http, path: /name, interval: 100ms, timeout: 90ms, fall: 2}' \
		"$STATE/b1/balancer.yaml"
	lab plimsoll b1 reload
}

# What is checked is asked for in HTTP, by the clients' way; it fails where that leads nowhere.
is_checked() {
	wait_until 5 first_is healthy 'passes its http check' || fail "$(show b1 .services[0])"
	vip_of s1 delete
	wait_until 5 first_is down 'no answer within 90 ms' || fail "$(show b1 .services[0])"
	expect "$(show b1 '.services[0].backends[1].state')" = healthy
	vip_of s1 add
	wait_until 5 first_is healthy 'passes its http check' || fail "$(show b1 .services[0])"
}

@test "IPv6 by L2" {
	begin 6 6 l2
	works
	begin_checks
	is_checked
}

@test "IPv4 in IPv4" {
	one_of_all
	begin 4 4 ipip
	works
	begin_checks
	is_checked
}

@test "IPv6 in IPv6" {
	one_of_all
	begin 6 6 ipip
	works
	begin_checks
	is_checked
}

@test "IPv4 in IPv6" {
	one_of_all
	begin 4 6 ipip
	works
	begin_checks
	is_checked
}

@test "IPv6 in IPv4, from our own address" {
	begin 6 4 ipip 'outer_source: fixed'
	works
	# As long as there is nothing of ours that the servers could answer to in IPv6.
	ip -n "$(namespace b1)" address delete "$(address6 b1)/64" dev eth0
	begin_checks
	wait_until 5 first_is down 'no interface has an IPv6 address' || fail "$(show b1 .services[0])"
	ip -n "$(namespace b1)" address add "$(address6 b1)/64" dev eth0 nodad
	is_checked
}
