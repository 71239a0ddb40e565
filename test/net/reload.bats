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
	for map in 1 2 3 4 5 6; do
		bpftool -j map lookup pinned "/run/plimsoll/bpf/$(namespace b1)/backends" key $map 0 0 0 |
			jq -c '(.formatted.value // .value) | {service, server, cost, forward, varied}'
	done
	"$PLIMSOLL" show --json --instance "$(namespace b1)" | jq -c '[.interfaces, .keyed, (.services[] |
		{name, address, policy, choices, signal, feedback, backends: [.backends[] | {address, weight, forward, state, changed}]})]'
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

# Flows are counted in slices: a moment later.
has_open_connections() { # SERVER
	[ "$(backend "$1" .open_connections)" -gt 0 ]
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
	wait_until 10 has_open_connections s3
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
	expect "$(backend s3 '"\(.state == "draining") \(.leaving)"')" = 'false false'
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
	local text

	run -1 reload
	for text in "$@"; do
		says "$text"
	done
	says 'nothing has changed'
	[ "$(state)" = "$before" ] || fail "$(diff <(echo "$before") <(state))"
	cp "$STATE/b1/original.yaml" "$file"
}

# line TEXT: on which line of the file it stands first.
line() {
	grep -nF -m 1 -- "$1" "$file" | cut -d : -f 1
}

@test "a file with one mistake changes nothing, whatever kind of mistake it is" {
	before=$(state)
	edit "s/policy: .*/policy: maglev/; s/$(address s1), weight: 1/$(address s1), weight: 0/"
	refused "$file:$(line "$(address s1)"): weight: \"0\" is too small; expected a whole number from 1 to 1000"
	edit 's/policy: .*/policy: maglev/; 14s/forward: l2/froward: l2/'
	refused "$file:14: froward: " 'expected "forward"?'
	edit 's/policy: .*/policy: maglev\n\tx: 1/'
	refused "$file:10: is not YAML: a tab indents the line"
	edit 's/policy: .*/policy: maglev/; s/interfaces: .*/interfaces: [eth0, eth7]/'
	refused 'interfaces: "eth7": No such device; '
	edit "s/policy: .*/policy: maglev/; s/listen: .*/listen: 192.0.2.1:9570/
		s/$(address s1), weight: 1/$(address s1), weight: 9/; s/$(address s2), weight: 1, forward: l2/$(address s2), weight: 1, forward: ipip/"
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
	wait_until 5 logged "$file:9: policy: \"maglevv\" is not known; expected"
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
	expect "$(show b1 '[.services[0].backends[] | .weight, .state == "draining", .changed[]] | join(" ")')" = '1 false 1 false 1 true'
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

# of_server SCRIPT OF sed: its file is edited, and read again.
of_server() {
	sed -i "$1" "$STATE/s1/server.yaml"
	"$PLIMSOLL" reload --instance "$(namespace s1)" 3>&-
}

told_by_server() {
	show s1 '[.interfaces, .keyed, .services, (.balancers[] | .address)]'
}

seen() {
	show s1 ".balancers[] | select(.address == \"$(address b1)\") | .connections_seen"
}

server_changed_twice() {
	[ "$(grep -c 'server.yaml is in force: 4 changes' "$STATE/s1/plimsoll.log")" -eq 2 ]
}

@test "a server reads its file again: balancers, services, agent, budget; no connection notices" {
	local original=$BATS_TEST_TMPDIR/server.yaml before

	cp "$STATE/s1/server.yaml" "$original"
	STEADY_LIVE=100 STEADY_NEW=50 streams_begin
	before=$(seen)
	expect "$before" -gt 0
	run -0 of_server "s/^balancers: .*/balancers: [10.1.0.99, $(address b1)]\nreport: {max_share: 1%}\nagent_listen: 0.0.0.0:9571/
		s/^services:/&\n  - {address: 10.1.0.110:81}/"
	says "balancers is [10.1.0.99, $(address b1)], was [$(address b1)]"
	says 'report.max_share is 1%, was 2%'
	says 'agent_listen is 0.0.0.0:9571, was not given'
	says 'service 10.1.0.110:81 is added'
	says 'is in force: 4 changes'
	# Who stays keeps what has been counted.
	expect "$(seen)" -ge "$before"
	expect "$(show s1 '.services | length')" -eq 2
	inside s1 ip -o address show dev lo | grep -qF 10.1.0.110/32
	inside s1 ss -Hlun sport = 9571 | grep -q 9571
	before=$(stamped s1)
	sleep 0.3
	expect "$(stamped s1)" -gt "$before"
	before=$(told_by_server)
	run -1 of_server 's/max_share: 1%/max_share: 3%/; s/eth0/eth7/'
	says 'interfaces: "eth7": No such device'
	run -1 of_server 's/eth7/eth0/; s/9571/9572/; s/0.0.0.0/192.0.2.1/'
	says 'agent_listen: "192.0.2.1:9572": '
	run -1 of_server 's/192.0.2.1/0.0.0.0/; s/9572/9571/; 1i meter_entries: 64'
	says 'meter_entries: "64" cannot be changed while the daemon runs, because the requests are metered in a table of that size'
	says 'nothing has changed'
	[ "$(told_by_server)" = "$before" ] || fail "$(told_by_server)"
	inside s1 ss -Hlun sport = 9571 | grep -q 9571
	"$PLIMSOLL" show --config --instance "$(namespace s1)" 3>&- >"$BATS_TEST_TMPDIR/shown.yaml"
	grep -qxF "report: {min_interval: 1ms, max_interval: 100ms, max_share: 1%, in_band: yes}" "$BATS_TEST_TMPDIR/shown.yaml"
	cp "$BATS_TEST_TMPDIR/shown.yaml" "$STATE/s1/server.yaml"
	run -0 of_server ''
	says 'nothing to change'
	cp "$original" "$STATE/s1/server.yaml"
	kill -HUP "$(pid_of "$STATE/s1/plimsoll.pid")"
	wait_until 5 server_changed_twice
	inside s1 ip -o address show dev lo | grep -F 10.1.0.110/32 && fail 'the address has stayed'
	streams_end
	expect "$(figure '[.unstarted, .broken, .wrong_bytes]')" = '[0,0,0]'
}

# change VERB SERVER [ARGUMENTS...]: by the command line.
change() {
	local verb=$1 server=$2

	shift 2
	"$PLIMSOLL" "$verb" web "$(address "$server")" "$@" --instance "$(namespace b1)" 3>&-
}

gone() { # SERVER
	[ -z "$(backend "$1" .address)" ]
}

@test "backends are added and removed by hand, and no connection notices" {
	edit "/$(address s3),/d"
	reload
	[ -z "$(backend s3 .leaving)" ] || change remove s3 --now
	gone s3
	STEADY_LIVE=150 STEADY_NEW=100 streams_begin
	run -0 change add s3 --weight 2
	says "$(address s3) of web: added with weight 2"
	says 'holds, for a next daemon too, until it is read again'
	takes_connections s3
	expect "$(backend s3 '"\(.weight) \(.changed)"')" = '2 ["added"]'
	run -0 change remove s2
	says "$(address s2) of web: removed: no new connections; it is gone when "
	# Who is leaving comes back at once.
	run -0 change add s2
	expect "$output" = "$(address s2) of web: added with weight 1"
	expect "$(backend s2 '"\(.state) \(.leaving) \(.changed)"')" = 'healthy false []'
	run -0 change remove s2
	expect "$(backend s2 '"\(.state) \(.leaving) \(.changed)"')" = 'draining true ["removed"]'
	run -0 lab show b1
	says "$(address s2) is removed: "
	says "$(address s3) by hand, and not in the file: added"
	sleep 0.5
	expect "$(backend s3 .connections)" -gt 0
	# Whoever goes on with the data path goes on with that.
	lab kill b1
	lab start b1
	expect "$(backend s3 '"\(.weight) \(.leaving) \(.changed)"')" = '2 false ["added"]'
	expect "$(backend s2 '"\(.leaving) \(.changed)"')" = 'true ["removed"]'
	streams_end
	expect "$(figure '[.unstarted, .broken, .wrong_bytes]')" = '[0,0,0]'
	# The clients have only just closed; whoever cannot wait need not.
	run -0 change remove s2 --now
	says 'removed and gone; it had '
	gone s2
	expect "$(show b1 '.services[0].removed | join(" ")')" = "$(address s2)"
	run -0 lab show b1
	says "$(address s2) is gone: removed by hand, and in the file"
	run -0 reload
	says '2 changes made by hand are undone by the file'
	says "backend $(address s2) of web is added"
	expect "$(show b1 '.services[0].removed | length')" -eq 0
}

@test "removed now, connections break, and it is said how many; what cannot be is refused" {
	local socket

	socket=/run/plimsoll/$(namespace b1)/api.sock
	STEADY_LIVE=30 STEADY_NEW=10 streams_begin
	run -0 change remove s3 --now --json
	jq -e '.backend == null and .connections > 0' <<<"$output"
	gone s3
	streams_end
	expect "$(figure .broken)" -gt 0
	run -1 change add s1
	says "$(address s1) is a backend of web already; its weight can be changed, and whether it drains; nothing has changed"
	run -1 change add c1 --weight 0
	says 'weight: "0" is too small; expected a whole number from 1 to 1000; nothing has changed'
	run -1 change add c1 --forward l7
	says 'forward: "l7" is not known; expected l2'
	run -1 "$PLIMSOLL" add web "$LAB_VIP" --instance "$(namespace b1)"
	says "address: \"$LAB_VIP\" is the virtual address of service \"web\"; expected the server's own"
	run -1 change remove c1
	says "there is no backend \"$(address c1)\""
	change remove s2 --now
	run -1 change remove s1 --now
	says 'it is the last one of web; let it drain, or take the service out of the file and reload; nothing has changed'
	curl -sS --unix-socket "$socket" -d "{\"address\": \"$(address s2)\", \"weight\": 3}" http://x/api/v1/services/web/backends |
		"$BATS_TEST_DIRNAME/api.py" answer "$OPENAPI" '/api/v1/services/{name}/backends' 200 post
	curl -sS --unix-socket "$socket" -X DELETE "http://x/api/v1/services/web/backends/$(address s2)?now=yes" |
		"$BATS_TEST_DIRNAME/api.py" answer "$OPENAPI" '/api/v1/services/{name}/backends/{address}' 200 delete
}

# told INSTANCE: of the status, what the configuration has a say in.
told() {
	"$PLIMSOLL" show --json --instance "$1" | jq -S '.keyed, .interfaces, .flows.capacity, (.services[] |
		{name, address, protocol, policy, choices, signal, feedback,
		backends: [.backends[] | {address, weight, forward}]})'
}

@test "what is shown as a configuration loads to the same state, with what was changed by hand" {
	local twin pid

	twin=$(namespace b1)-twin
	cat >>"$file" <<-END
		  - {name: every-key, address: "$LAB_VIP:81", protocol: tcp, policy: prequal, choices: 3, signal: latency, feedback: poll,
		     poll_interval: 250ms, poll_protocol: agent-check, poll_port: 9999, weights: configured, pending: no,
		     stale_after: 1500ms, ring_size: 1009,
		     backends: [{address: $(address s1), weight: 9, forward: l2, draining: yes}, {address: $(address s2)}]}
	END
	reload
	change weight s1 5
	change drain s2
	change remove s3 --now
	"$PLIMSOLL" show --config --instance "$(namespace b1)" 3>&- >"$BATS_TEST_TMPDIR/shown.yaml"
	"$PLIMSOLL" check-config "$BATS_TEST_TMPDIR/shown.yaml"
	run ! grep -qi "$(cat "$STATE/report.key")" "$BATS_TEST_TMPDIR/shown.yaml"
	told "$(namespace b1)" >"$BATS_TEST_TMPDIR/told"
	# The same file, when it is read: all is the file's now, and nothing else has changed.
	cp "$BATS_TEST_TMPDIR/shown.yaml" "$file"
	run -0 reload --json
	jq -e '.changes == [] and .undone == []' <<<"$output"
	expect "$(show b1 '[.services[].backends[].changed[]] | length')" -eq 0
	# And by a daemon that begins with it, where there is nothing else: on the second machine's interface.
	sed "s/^listen: .*/listen: none/" "$BATS_TEST_TMPDIR/shown.yaml" >"$BATS_TEST_TMPDIR/twin.yaml"
	ip netns exec "$(namespace c1)" "$PLIMSOLL" balancer --config "$BATS_TEST_TMPDIR/twin.yaml" --instance "$twin" >"$BATS_TEST_TMPDIR/twin.log" 2>&1 3>&- &
	pid=$!
	wait_until 10 grep -q ready "$BATS_TEST_TMPDIR/twin.log"
	told "$twin" | diff "$BATS_TEST_TMPDIR/told" - || fail 'it is another state'
	"$PLIMSOLL" show --config --instance "$twin" | diff "$BATS_TEST_TMPDIR/twin.yaml" -
	kill "$pid"
	wait "$pid"
	"$PLIMSOLL" show --config --json --instance "$(namespace b1)" 3>&- |
		"$BATS_TEST_DIRNAME/api.py" answer "$OPENAPI" /api/v1/config 200
	inside b1 curl -sS "http://$LAB_LISTEN/api/v1/config" | jq -e '.error | test("that is not told here")'
}
