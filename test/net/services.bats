#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Several services on one balancer: each goes to its own backends.

load helpers

setup_file() {
	open_lab clients=1 servers=3
	[ -n "${LAB:-}" ] || return 0
	lab nginx
	lab config
	second_service
	lab start all
}

SECOND_VIP=10.1.0.101

# s3 leaves the first service for one of its own, and has datagrams to the first one's address and port.
second_service() {
	local machine

	sed -i "/address: $(address s3),/d" "$STATE/b1/balancer.yaml"
	printf '  - {name: second, address: "%s:80", backends: [{address: %s}]}\n' \
		"$SECOND_VIP" "$(address s3)" >>"$STATE/b1/balancer.yaml"
	printf '  - {name: calls, address: "%s:80", protocol: udp, backends: [{address: %s}]}\n' \
		"$LAB_VIP" "$(address s3)" >>"$STATE/b1/balancer.yaml"
	for machine in s1 s2 s3; do
		printf '  - {name: second, address: "%s:80"}\n' $SECOND_VIP >>"$STATE/$machine/server.yaml"
	done
}

each_to_its_own() {
	run -0 fetch_names 40
	expect "$(sort -u <<<"$output" | xargs)" = 's1 s2'
	run -0 inside c1 curl -sS --fail --max-time 60 -H 'Connection: close' \
		"http://$SECOND_VIP/name?[1-20]"
	expect "$(sort -u <<<"$output" | xargs)" = s3
}

@test "each service has its own backends" {
	each_to_its_own
}

@test "and keeps them when the balancer's daemon is killed and started again" {
	lab kill b1
	lab start b1
	each_to_its_own
}

# both_ask: while the tracer runs, a connection and a datagram, again and again.
both_ask() { # PID
	until process_gone "$1"; do
		inside c1 bash -c "echo hello >/dev/udp/$LAB_VIP/80"
		fetch name >/dev/null
	done
}

@test "trace tells one service from another at the same address and port" {
	local service told=$BATS_TEST_TMPDIR/told

	for service in web calls; do
		"$PLIMSOLL" trace --instance "$(namespace b1)" --service "$service" --verdict sent --count 12 --json \
			>"$told.$service" 3>&- &
		both_ask $!
		wait $!
	done
	expect "$(jq -r '.protocol // empty' "$told.web" | sort -u)" = tcp
	expect "$(jq -r '.protocol // empty' "$told.calls" | sort -u)" = udp
}

# As many as would be told of in TCP, for longer than stale_after.
@test "servers that answer datagrams are not missed for want of reports" {
	inside c1 bash -c "for i in {1..60}; do echo hello >/dev/udp/$LAB_VIP/80; sleep 0.04; done"
	expect "$(show b1 '.services[] | select(.name == "calls").connections')" -gt 50
	expect "$(show b1 '.services[] | select(.name == "calls").backends[0].load_cause')" = \
		'answers in UDP, which bears no reports: counts as the mean of the others'
	run -0 ask_b1 /api/v1/health
	expect "$(jq -r .health <<<"$output")" = ok
	run -0 ask_b1 /api/v1/events
	expect "$(jq '[.events[] | select(.kind == "load-unknown" and .service == "calls")] | length' <<<"$output")" -eq 0
}

ask_b1() { # PATH
	curl -sS --max-time 10 --unix-socket "/run/plimsoll/$(namespace b1)/api.sock" "http://x$1"
}
