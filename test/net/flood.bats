#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Forged packets by the hundred thousand, on a flow table that they fill several times over: not one of
# 1,000 live connections notices, and new ones come. `make bench-flood` is the long form.

load helpers
load streams

FLOOD=$LAB_BUILD/flood
FLOOD_RATE=${FLOOD_RATE:-150000}
# shellcheck disable=SC2034 # for streams
STEADY_LIVE=1000 STEADY_NEW=50

setup_file() {
	open_lab clients=2 servers=3
	[ -n "${LAB:-}" ] || return 0
	lab config key=yes
	echo 'flow_table: {entries: 16384}' >>"$STATE/b1/balancer.yaml"
	streams_serve
	answer_the_invented
	lab start all
}

# Servers answer forged SYNs, too: their answers go to c2, which takes no notice. What c2 sends by
# XDP reaches the switch only where that has an XDP program.
answer_the_invented() {
	local machine

	for machine in $(machines s); do
		ip -n "$(namespace "$machine")" -batch - <<-END
			neighbour replace $(address c2) lladdr $(mac c2) dev eth0 nud permanent
			route add 198.18.0.0/15 via $(address c2)
		END
	done
	ip -n "$(namespace switch)" link set c2 xdpdrv obj "$LAB_BUILD/pass.bpf.o" sec xdp
}

# flooded KIND SECONDS: says how many were sent.
flooded() {
	inside c2 "$FLOOD" --interface eth0 --target "$LAB_VIP:80" --mac "$(mac b1)" --kind "$1" \
		--seconds "$2" --rate "$FLOOD_RATE" 3>&- | jq .sent
}

evicted() { # STATE
	show b1 ".flows.evicted.\"$1\""
}

# nobody_harmed KIND SECONDS: under such a flood.
nobody_harmed() {
	local sent seen before

	streams_begin
	before=$(counter b1 forwarded)
	sent=$(flooded "$1" "$2")
	seen=$(($(counter b1 forwarded) - before))
	echo "sent $sent, forwarded meanwhile $seen"
	show b1 .flows
	expect "$seen" -gt 32768 # else this shows nothing
	streams_unharmed "flood-$1"
	expect "$(evicted open)" -eq 0
	expect "$(evicted lasting)" -eq 0
}

@test "forged SYNs break no connection and keep no new one away" {
	nobody_harmed syn 4
	expect "$(evicted opening)" -gt 1000
	expect "$(show b1 .flows.contested)" -gt 0
}

@test "nor do forged ACKs, in the middle of connections that never were" {
	nobody_harmed ack 2
	expect "$(evicted adopted)" -gt 1000
}

@test "nor do SYNs each with its ACK, as if an answer had come: the table is full of them" {
	nobody_harmed open 2
	expect "$(show b1 .flows.no_room)" -gt 1000
}
