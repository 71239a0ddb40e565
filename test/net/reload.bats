#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The configuration file is read again while the balancer runs: what differs changes, all of it or nothing.

# shellcheck disable=SC2119
load helpers
load streams

OPENAPI=$BATS_TEST_DIRNAME/../../doc/openapi.yaml

setup_file() {
	open_lab clients=1 servers=3
	[ -n "${LAB:-}" ] || return 0
	lab config policy=round-robin servers=s1,s2,s3 key=yes
	lab start all
	streams_serve
	cp "$STATE/b1/balancer.yaml" "$STATE/b1/original.yaml"
}

setup() {
	[ "$(id -u)" -eq 0 ] || skip 'network namespaces are root'\''s to make'
	file=$STATE/b1/balancer.yaml
	cp "$STATE/b1/original.yaml" "$file"
	reload >/dev/null
}

# shellcheck disable=SC2120 # most want no more
reload() {
	"$PLIMSOLL" reload --instance "$(namespace b1)" "$@" 3>&-
}

# edit SCRIPT OF sed...
edit() {
	sed -i "$@" "$file"
}

backends() {
	show b1 '[.services[0].backends[].address] | join(" ")'
}

backends_are() { # SERVERS...
	local server expected=()

	for server in "$@"; do
		expected+=("$(address "$server")")
	done
	[ "$(backends)" = "${expected[*]}" ]
}

# What the data path goes by, and what is told of it.
state() {
	local map

	for map in settings services servers; do
		bpftool map dump pinned "/run/plimsoll/bpf/$(namespace b1)/$map"
	done
	show b1 '[.interfaces, .keyed, (.services[] | {name, address, policy, choices, signal, feedback,
		backends: [.backends[] | {address, weight, forward, state, changed}]})]'
}

logged() { # TEXT
	grep -qF -- "$1" "$STATE/b1/plimsoll.log"
}

@test "who is removed without connections is gone at once, whoever takes his place gets his share" {
	edit "/$(address s1),/d; /$(address s2),/d"
	reload
	wait_until 30 backends_are s3
	cp "$STATE/b1/original.yaml" "$file"
	edit "/$(address s3),/d"
	reload
	# All of them at once: the old one serves until one of the new ones can.
	wait_until 30 backends_are s1 s2
	expect "$(counter b1 no-backend)" -eq 0
}

@test "in the middle of traffic everything is changed, and no connection notices" {
	STEADY_LIVE=150 STEADY_NEW=100 streams_begin
	edit "s/policy: .*/policy: least-loaded\n    ring_size: 101\n    stale_after: 300ms/
		/$(address s3),/d; s/$(address s1), weight: 1/$(address s1), weight: 5/"
	run -0 reload
	says 'service web: policy is least-loaded, was round-robin'
	says 'service web: ring_size is 101, was 16381'
	says "backend $(address s1) of web: weight is 5, was 1"
	says "backend $(address s3) of web is removed"
	says 'is in force: 5 changes'
	expect "$(show b1 '.services[0].policy')" = least-loaded
	# Who is removed keeps his connections, and gets no others.
	expect "$(backend s3 '"\(.state) \(.leaving) \(.changed)"')" = 'draining true []'
	expect "$(backend s3 .open_connections)" -gt 0
	edit "s/ring_size: .*/ring_size: 65537/; s/weight: 5/weight: 2/"
	printf '  - {name: more, address: %s:81, backends: [{address: %s}]}\n' "$LAB_VIP" "$(address s2)" >>"$file"
	run -0 reload
	says 'service more is added'
	says 'is in force: 3 changes'
	# He who leaves is wanted again, at the place in the flow table that he has had.
	cp "$STATE/b1/original.yaml" "$file"
	run -0 reload
	says "backend $(address s3) of web is added"
	says 'service more is removed'
	expect "$(backend s3 '"\(.state) \(.leaving)"')" = 'up false'
	sleep 0.5
	streams_end
	expect "$(figure '[.unstarted, .broken, .wrong_bytes]')" = '[0,0,0]'
	expect "$(figure .new)" -gt 50
	expect "$(counter b1 no-backend)" -eq 0
	run -0 reload --json
	jq -e '.changes == [] and .undone == [] and .checked == false' <<<"$output"
}

# refused TEXT...: the file, as it is now, is refused with these words, and nothing has changed.
refused() {
	local before text

	before=$(state)
	run -1 reload
	for text in "$@"; do
		says "$text"
	done
	says 'nothing has changed'
	[ "$(state)" = "$before" ] || fail "$(diff <(echo "$before") <(state))"
	cp "$STATE/b1/original.yaml" "$file"
}

@test "a file with one mistake changes nothing, whatever kind of mistake it is" {
	edit "s/policy: .*/policy: maglev/; s/$(address s1), weight: 1/$(address s1), weight: 0/"
	refused "$file:12: weight: \"0\" is too small; expected a whole number from 1 to 1000"
	edit 's/policy: .*/policy: maglev/; 13s/forward: l2/froward: l2/'
	refused "$file:13: froward: " 'expected "forward"?'
	edit 's/policy: .*/policy: maglev\n\tx: 1/'
	refused "$file:9: is not YAML: a tab indents the line"
	edit 's/policy: .*/policy: maglev/; s/interfaces: .*/interfaces: [eth0, eth7]/'
	refused 'interfaces: "eth7": No such device; '
	edit "s/policy: .*/policy: maglev/; s/listen: .*/listen: 192.0.2.1:9570/"
	refused 'cannot listen on 192.0.2.1:9570: no interface of this host has that address'
	edit 's/policy: .*/policy: maglev/; 1i hash_seed: 0x5eed'
	refused "$file:1: hash_seed: \"0x5eed\" cannot be changed while the daemon runs, because"
	edit 's/policy: .*/policy: maglev/; 1i flow_table: {entries: 128}'
	refused "$file:1: flow_table.entries: " 'expected 1000000, or that the daemon is started again'
	edit 's/policy: .*/policy: maglev/; s/report[.]key/reprot.key/'
	refused 'reprot.key" does not exist'
	edit "s/policy: .*/policy: maglev/; s/$(address s3)/$LAB_VIP/"
	refused "\"$LAB_VIP\" is the virtual address of service \"web\""
	rm "$file"
	refused "$file: "
	expect "$(show b1 '.services[0].policy')" = round-robin
	# The status is told where it was.
	inside b1 curl -sS --fail --max-time 5 -o /dev/null "http://$LAB_LISTEN/api/v1/status"
}

policy_is() {
	[ "$(show b1 '.services[0].policy')" = "$1" ]
}

hang_up() {
	kill -HUP "$(pid_of "$STATE/b1/plimsoll.pid")"
}

@test "SIGHUP does the same, and the log says what" {
	edit 's/policy: .*/policy: maglevv/'
	hang_up
	wait_until 5 logged "$file:8: policy: \"maglevv\" is not known; expected"
	wait_until 5 logged "$file is refused: nothing has changed"
	expect "$(show b1 '.services[0].policy')" = round-robin
	edit 's/policy: .*/policy: maglev/'
	hang_up
	wait_until 5 policy_is maglev
	logged 'service web: policy is maglev, was round-robin'
	logged "$file is in force: 1 change"
}

@test "what was changed by hand is undone by the file, and that is said" {
	"$PLIMSOLL" weight web "$(address s1)" 7 --instance "$(namespace b1)"
	"$PLIMSOLL" drain web "$(address s2)" --instance "$(namespace b1)"
	edit "s/policy: .*/policy: maglev/; s/$(address s3), weight: 1/&, draining: yes/"
	run -0 reload --check
	says '2 changes made by hand would be undone by the file'
	says 'is not in force: 4 changes'
	expect "$(backend s1 .weight)" = 7
	run -0 reload
	says '2 changes made by hand are undone by the file'
	says "  backend $(address s1) of web: weight is 1, was 7"
	expect "$(show b1 '[.services[0].backends[] | .weight, .state, .changed[]] | join(" ")')" = '1 up 1 up 1 draining'
	# What the file says itself is not undone.
	"$PLIMSOLL" weight web "$(address s1)" 3 --instance "$(namespace b1)"
	edit "s/$(address s1), weight: 1/$(address s1), weight: 3/"
	run -0 reload --json
	jq -e '.changes == [] and .undone == []' <<<"$output"
	expect "$(backend s1 .changed)" = '[]'
}

@test "whoever asks and goes away leaves nothing half done; the socket answers as documented" {
	local i pid socket

	socket=/run/plimsoll/$(namespace b1)/api.sock

	for i in 1 2 3 4 5 6; do
		edit "s/choices: .*//; s/policy: .*/policy: maglev\n    choices: $i/"
		reload >/dev/null 2>&1 &
		pid=$!
		kill -INT "$pid" 2>/dev/null || true
		wait "$pid" || true
	done
	run -0 reload
	expect "$(show b1 '.services[0].choices')" -eq 6
	curl -sS --unix-socket "$socket" -d '' http://x/api/v1/reload |
		"$BATS_TEST_DIRNAME/api.py" answer "$OPENAPI" /api/v1/reload 200 post
	curl -sS --unix-socket "$socket" -d '{"chekc": true}' http://x/api/v1/reload |
		"$BATS_TEST_DIRNAME/api.py" answer "$OPENAPI" /api/v1/reload 400 post
	echo 'x: 1' >>"$file"
	curl -sS --unix-socket "$socket" -d '{"check": true}' http://x/api/v1/reload |
		"$BATS_TEST_DIRNAME/api.py" answer "$OPENAPI" /api/v1/reload 409 post
	inside b1 curl -sS -d '' "http://$LAB_LISTEN/api/v1/reload" |
		"$BATS_TEST_DIRNAME/api.py" answer "$OPENAPI" /api/v1/reload 405 post
}
