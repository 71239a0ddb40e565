#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Servers that do not answer: found by what clients do, or by checks; spared; back again. Times are printed,
# and not held against anything: what must hold are orders and counts.

load helpers

setup_file() {
	open_lab clients=1 servers=3
	[ -n "${LAB:-}" ] || return 0
	lab nginx
	lab config
	lab start all
}

teardown() {
	local pid

	end_client_programs
	[ ! -e "$BATS_TEST_TMPDIR/echo.pids" ] || while read -r pid; do kill "$pid"; done <"$BATS_TEST_TMPDIR/echo.pids"
	inside switch nft delete table bridge lossy 2>/dev/null || true
	lab plug s1 s2 s3
	lab nginx
}

# without_agents [KEY=VALUE...]: the balancer takes such a configuration into force, or that which is
# there; servers have the address by hand.
without_agents() {
	local machine

	for machine in s1 s2 s3; do
		[ -z "$(pid_of "$STATE/$machine/plimsoll.pid")" ] || lab stop "$machine"
	done
	lab direct s1 s2 s3
	[ $# -eq 0 ] || lab config feedback=none "$@"
	lab plimsoll b1 reload
}

# knock_start RATE SECONDS [/name FORGED MAC]: new connections in the background, whatever becomes of those before.
knock_start() {
	ip netns exec "$(namespace c1)" "$BATS_TEST_DIRNAME/knock.py" "$LAB_VIP" "$@" \
		>"$BATS_TEST_TMPDIR/knock" 2>&1 3>&- &
	echo $! >"$BATS_TEST_TMPDIR/knock.pid"
	wait_until 20 grep -qs started "$BATS_TEST_TMPDIR/knock"
}

# knock_result FILTER: ends it, and waits until the last connection has ended; FILTER is jq's.
knock_result() {
	kill "$(cat "$BATS_TEST_TMPDIR/knock.pid")" 2>/dev/null || true
	wait_until 60 process_gone "$(cat "$BATS_TEST_TMPDIR/knock.pid")"
	tail -n 1 "$BATS_TEST_TMPDIR/knock" | jq -r "$1" || fail "$(cat "$BATS_TEST_TMPDIR/knock")"
}

end_nginx() {
	local machine pid

	for machine in "$@"; do
		pid=$(pid_of "$STATE/$machine/nginx.pid") || continue
		kill "$pid"
		wait_until 5 process_gone "$pid"
	done
}

events() { # KIND SERVER
	curl -sS --unix-socket "/run/plimsoll/$LAB-b1/api.sock" http://x/api/v1/events |
		jq -r --arg kind "$1" --arg backend "$(address "$2")" \
			'.events[] | select(.kind == $kind and .backend == $backend) | .cause'
}

states() {
	show b1 '[.services[0].backends[].state] | join(" ")'
}

states_are() {
	[ "$(states)" = "$*" ]
}

@test "a server that refuses and one that is cut off are found by their clients, and spared; and are back again" {
	knock_start 300 20
	end_nginx s1
	wait_until 5 backend_is s1 .state suspect
	lab cut s2
	wait_until 5 backend_is s2 .state suspect
	# The one says so itself.
	[[ $(events suspect s1) == *'refuses connections: nobody listens there'* ]] || fail "$(events suspect s1)"
	[[ $(events suspect s2) == *'without an answer'* ]] || fail "$(events suspect s2)"
	sleep 0.3
	knock_result .
	# Whoever was not answered was answered by another server, when the SYN was repeated.
	expect "$(knock_result '.timed_out + .reset + .wrong')" -le 2
	expect "$(knock_result .late)" -ge 1
	holds "$(backend s2 .moved) >= 1"
	# Of some 400 that s1 and s2 would each have had, few were refused.
	expect "$(knock_result .refused)" -ge 1
	expect "$(knock_result .refused)" -le 100
	expect "$(backend s3 .state)" = healthy
	lab nginx
	lab plug s2
	knock_start 100 20
	wait_until 20 states_are healthy healthy healthy || fail "$(states)"
}

# Packets that the network of a test has lost.
lost() {
	inside switch nft list counters table bridge lossy | awk '$1 == "packets" { print $2 }'
}

@test "a network that loses all reports empties no pool" {
	local before

	before=$(counter b1 report-taken)
	inside switch nft -f - <<-END
		table bridge lossy {
			counter lost { }
			chain forward {
				type filter hook forward priority 0
				ip hdrlength > 5 counter name lost drop
			}
		}
	END
	knock_start 150 20
	sleep 0.5
	knock_result .
	echo "moved: $(show b1 '[.services[0].backends[].moved]')"
	# What is lost is sent again; that is slow, and a client may lose patience.
	expect "$(knock_result '.begun - .answered')" -le 3
	expect "$(knock_result '.names | length')" -eq 3
	holds "$(lost) > 0"
	expect "$(counter b1 report-taken)" -eq "$before"
	expect "$(states)" = 'healthy healthy healthy'
}

suspicions() { # ever, of anybody
	curl -sS --unix-socket "/run/plimsoll/$LAB-b1/api.sock" http://x/api/v1/events |
		jq '[.events[] | select(.kind == "suspect" or .kind == "down")] | length'
}

# nobody_is_suspected SECONDS: while knock.py goes on, and each server is sent connections. A machine that pauses
# in the middle may make one of them look silent for a moment.
nobody_is_suspected() {
	local before machine sent=()

	before=$(suspicions)
	for machine in s1 s2 s3; do
		sent+=("$(backend "$machine" .connections)")
	done
	sleep "$1"
	expect "$(($(suspicions) - before))" -le 1
	wait_until 3 states_are healthy healthy healthy || fail "$(states)"
	for machine in s1 s2 s3; do
		holds "$(backend "$machine" .connections) - ${sent[${machine#s} - 1]} > 20"
	done
}

@test "a network that loses one SYN in ten, and one SYN-ACK, makes no server suspect" {
	inside switch nft -f - <<-END
		table bridge lossy {
			counter lost { }
			chain forward {
				type filter hook forward priority 0
				iifname b1 tcp flags & (syn | ack) == syn numgen random mod 10 == 0 counter name lost drop
				iifname != b1 tcp flags & (syn | ack) == (syn | ack) numgen random mod 10 == 0 counter name lost drop
			}
		}
	END
	knock_start 300 30
	nobody_is_suspected 3
	holds "$(lost) > 50"
	knock_result .
	# Some lose theirs again and again, and their patience.
	expect "$(knock_result '.begun - .answered')" -le 30
}

# Few connections to each server: several times a second a tenth of one goes by with none, but with SYNs of the flood.
# By hash, because a flood's SYNs stay pending: by load a server may get no connection for a while, but these.
@test "nor does a flood of SYNs that nobody means, once it is known" {
	local before

	# On a machine with other work one may be a suspect for longer than that: not where all must pass each time.
	[ -n "${EVERY_COMBINATION:-}" ] || skip 'make test-families runs it'
	lab config policy=maglev
	lab plimsoll b1 reload
	# What a handshake takes is known, and then what goes unanswered.
	knock_start 300 30
	knock_result .
	holds "$(show b1 '[.services[0].backends[].handshake_us] | min') > 0"
	knock_start 300 30 /name 8 "$(mac b1)"
	knock_result .
	wait_until 5 states_are healthy healthy healthy || fail "$(states)"
	knock_start 60 30 /name 8 "$(mac b1)"
	before=$(counter b1 forwarded)
	nobody_is_suspected 4
	holds "$(counter b1 forwarded) - $before > 1000"
	knock_result .
	expect "$(knock_result '.begun - .answered')" -le 3
}

@test "without agents, idle servers are checked through the data path: refused, silent, back, slowly" {
	without_agents 'health={check: tcp, interval: 100ms, timeout: 90ms, rise: 2, fall: 2}' slow_start=1s
	wait_until 5 states_are healthy healthy healthy || fail "$(states)"
	expect "$(backend s1 .check)" = "tcp check of $LAB_VIP:80"
	end_nginx s1
	# It has its own address and nginx, but not the service's: what clients would get.
	ip -n "$(namespace s2)" address delete "$LAB_VIP/32" dev lo
	wait_until 5 states_are down down healthy || fail "$(states)"
	[[ $(events down s1) == *'connection refused'* ]]
	[[ $(events down s2) == *'no answer within 90 ms'* ]]
	run -0 fetch_names 20
	expect "$(sort -u <<<"$output")" = s3
	lab nginx
	wait_until 5 backend_is s1 .state healthy
	holds "$(backend s1 .weight_in_force) < 1"
	wait_until 5 backend_is s1 .weight_in_force 1
}

# metric NAME: of the balancer's, the sum of its samples.
metric() {
	curl -sS --unix-socket "/run/plimsoll/$LAB-b1/api.sock" http://x/metrics |
		awk -v name="$1" '$1 ~ "^" name "($|{)" { sum += $2 } END { print sum + 0 }'
}

@test "another status than is expected is a failure; services that share a server share its check" {
	local runs

	lab config feedback=none 'health={check: http, path: /name, interval: 100ms, timeout: 90ms, fall: 2}'
	# The same backends once more, under another address.
	sed -n '/- name: web/,$p' "$STATE/b1/balancer.yaml" |
		sed "s/name: web/name: other/; s/$LAB_VIP:80/10.1.0.101:80/" >"$BATS_TEST_TMPDIR/other"
	cat "$BATS_TEST_TMPDIR/other" >>"$STATE/b1/balancer.yaml"
	without_agents
	wait_until 5 states_are healthy healthy healthy || fail "$(states)"
	sed -i 's/return 200/return 500/' "$STATE/s1/nginx.conf"
	kill -HUP "$(cat "$STATE/s1/nginx.pid")"
	wait_until 5 states_are down healthy healthy || fail "$(states)"
	# In both services.
	expect "$(events down s1 | grep -c 'status 500, which is not the one expected')" -eq 2
	expect "$(show b1 '[.services[1].backends[].state] | join(" ")')" = 'down healthy healthy'
	expect "$(metric plimsoll_checks)" -eq 3
	runs=$(metric plimsoll_check_runs_total)
	sleep 1
	holds "$(metric plimsoll_check_runs_total) - $runs <= 60"
	holds "$(metric plimsoll_check_runs_total) - $runs >= 3"
	end_nginx s1
}

@test "of a service of every port, the port that is named is checked" {
	lab config feedback=none
	sed -i "s/address: $LAB_VIP:80/address: \"$LAB_VIP:*\"/" "$STATE/b1/balancer.yaml"
	sed -i '/protocol: tcp/a\    health: {check: http, path: /name, port: 80, interval: 100ms, timeout: 90ms, fall: 2}' \
		"$STATE/b1/balancer.yaml"
	without_agents
	wait_until 5 states_are healthy healthy healthy || fail "$(states)"
	expect "$(backend s1 .check)" = "http check of $LAB_VIP:80/name"
	end_nginx s1
	wait_until 5 states_are down healthy healthy || fail "$(states)"
	[[ $(events down s1) == *'connection refused'* ]]
}

# datagrams_of_every_port: a service of them, checked by the nginx that is on port 80.
datagrams_of_every_port() {
	local machine

	lab config feedback=none
	printf '  - {name: echo, address: "%s:*", protocol: udp, dead_flows: leave, health: %s, backends: [%s]}\n' "$LAB_VIP" \
		'{check: tcp, port: 80, interval: 100ms, timeout: 90ms, rise: 2, fall: 2}' \
		"{address: $(address s1)}, {address: $(address s2)}, {address: $(address s3)}" \
		>>"$STATE/b1/balancer.yaml"
	for machine in s1 s2 s3; do
		inside "$machine" python3 "$BATS_TEST_DIRNAME/echo.py" serve "$machine" </dev/null >/dev/null 2>&1 3>&- &
		echo $! >>"$BATS_TEST_TMPDIR/echo.pids"
		wait_until 10 inside "$machine" bash -c "ss -Hlun | grep -q ':7000 '"
	done
	without_agents
}

states_of_echo_are() {
	[ "$(show b1 '.services[] | select(.name == "echo") | [.backends[].state] | join(" ")')" = "$*" ]
}

# Of one flow; printed is who answers.
datagram() {
	inside c1 python3 "$BATS_TEST_DIRNAME/echo.py" from 5353 "$LAB_VIP" 3>&-
}

@test "a flow of datagrams leaves the server that goes down with the next one, and stays where it then is" {
	local first other states=()

	datagrams_of_every_port
	wait_until 5 states_of_echo_are healthy healthy healthy || fail "$(show b1 .services[1])"
	first=$(datagram)
	expect "$(datagram)" = "$first"
	# It still answers datagrams: who moves does so because it is down.
	end_nginx "$first"
	states=(healthy healthy healthy)
	states[${first#s} - 1]=down
	wait_until 5 states_of_echo_are "${states[@]}" || fail "$(show b1 .services[1])"
	other=$(datagram)
	[ -n "$other" ] && [ "$other" != "$first" ] || fail "of $first, then of $other"
	lab nginx
	wait_until 5 states_of_echo_are healthy healthy healthy || fail "$(show b1 .services[1])"
	expect "$(datagram)" = "$other"
}

# dead_flows_are WHAT: and all are down.
dead_flows_are() {
	without_agents 'health={check: http, path: /name, expect: 204, interval: 100ms, timeout: 90ms, fall: 1}' "dead_flows=$1"
	wait_until 5 states_are down down down || fail "$(states)"
}

has_grown() { # FILE SIZE
	[ "$(stat -c %s "$1")" -gt "$2" ]
}

@test "connections of a server that is down go on or are reset, by choice" {
	local download=$BATS_TEST_TMPDIR/download pid status=0

	without_agents 'health={check: none}'
	: >"$download"
	inside c1 curl -sS --limit-rate 200k --max-time 60 -o "$download" "http://$LAB_VIP/100m" 3>&- 2>"$download.error" &
	pid=$!
	wait_until 5 has_grown "$download" 0
	dead_flows_are leave
	# After its first burst curl pauses for as long as its rate wants it.
	wait_until 25 has_grown "$download" "$(($(stat -c %s "$download") + 300000))"
	dead_flows_are reset
	wait "$pid" || status=$?
	# Receiving has failed: 28 would be out of time.
	expect "$status" -eq 56
	[[ $(<"$download.error") == *[Rr]eset* ]]
	holds "$(counter b1 flow-reset) > 0"
}

# all_down_is WHAT: and checks are soon over.
all_down_is() {
	without_agents 'health={check: tcp, interval: 100ms, timeout: 90ms, rise: 1, fall: 1}' "all_down=$1"
}

show_is_failing() {
	[ "$(curl -sS --unix-socket "/run/plimsoll/$LAB-b1/api.sock" http://x/api/v1/health | jq -r .health)" = failing ]
}

# What curl ends with: 7 is refused, 28 is out of time.
curl_ends() {
	local status=0

	inside c1 curl -sS --max-time 1 "http://$LAB_VIP/name" 3>&- || status=$?
	echo $status
}

# more NAME BEFORE: how many more have been counted since.
more() {
	echo $(($(counter b1 "$1") - $2))
}

@test "all down: connections are reset, dropped or tried all the same, by choice; one is up again, and serves" {
	local before

	all_down_is reset
	wait_until 5 states_are healthy healthy healthy || fail "$(states)"
	end_nginx s1 s2 s3
	wait_until 5 states_are down down down || fail "$(states)"
	wait_until 5 show_is_failing
	before=$(counter b1 refused)
	expect "$(curl_ends 2>&1 | tail -n 1)" -eq 7
	expect "$(more refused "$before")" -eq 1

	all_down_is drop
	before=$(counter b1 all-down)
	expect "$(curl_ends 2>&1 | tail -n 1)" -eq 28
	expect "$(more all-down "$before")" -ge 1

	all_down_is try-all
	before=$(counter b1 forwarded)
	expect "$(curl_ends 2>&1 | tail -n 1)" -eq 7
	expect "$(more forwarded "$before")" -ge 1

	lab nginx
	wait_until 5 states_are healthy healthy healthy || fail "$(states)"
	run -0 fetch_names 5
}
