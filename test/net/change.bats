#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What is changed of backends while the balancer runs: new connections follow, old ones do not notice.

load helpers

OPENAPI=$BATS_TEST_DIRNAME/../../doc/openapi.yaml

setup_file() {
	open_lab clients=1 servers=2
	[ -n "${LAB:-}" ] || return 0
	lab nginx
	lab config policy=round-robin
	sed -i 's/^    policy: .*/&\n    weights: configured/' "$STATE/b1/balancer.yaml"
	lab start all
}

# change VERB SERVER [ARGUMENTS...]: by the command line.
change() {
	local verb=$1 server=$2

	shift 2
	"$PLIMSOLL" "$verb" web "$(address "$server")" "$@" --instance "$(namespace b1)" 3>&-
}

# ask PATH [ARGUMENTS OF curl...]: on the balancer's socket.
ask() {
	local path=$1

	shift
	curl -sS --max-time 10 --unix-socket "/run/plimsoll/$(namespace b1)/api.sock" "$@" "http://x$path"
}

# post SERVER BODY: prints the status, and leaves the answer in a file.
post() {
	ask "/api/v1/services/web/backends/$(address "$1")" -d "$2" -o "$BATS_TEST_TMPDIR/answer" -w '%{http_code}'
}

# events KIND: how many there have been.
events() {
	ask /api/v1/events | jq "[.events[] | select(.kind == \"$1\")] | length"
}

event_has_come() { # KIND
	[ "$(events "$1")" -gt 0 ]
}

# names_got COUNT: "30 s1 10 s2", of so many new connections.
names_got() {
	fetch_names "$1" | sort | uniq -c | xargs
}

is_over() { # OF A BACKEND, FILTER, NUMBER
	holds "$(backend "$1" "$2") > $3"
}

@test "a server that drains gets no new connections, keeps those it has, empties, and comes back" {
	local steady before

	inside c1 /usr/bin/python3 "$BATS_TEST_DIRNAME/steady.py" "$LAB_VIP" 12 4 6 "$LAB_FILES/10k" 10k \
		"$LAB_FILES/100m" 100m >"$BATS_TEST_TMPDIR/steady" 3>&- &
	steady=$!
	wait_until 20 grep -q started "$BATS_TEST_TMPDIR/steady"
	load_start duration=4 connections=16
	wait_until 5 is_over s1 .share 0
	run -0 change drain s1
	says 'no new connections'
	says 'holds, for a next daemon too, until it is read again'
	before=$(backend s2 .connections)
	expect "$(names_got 20)" = '20 s2'
	wait_until 5 is_over s2 .connections "$((before + 19))"
	before=$(backend s1 .connections)
	expect "$(names_got 40)" = '40 s2'
	wait_until 5 backend_is s1 .share 0
	expect "$(backend s1 .connections)" -eq "$before"
	wait_until 5 is_over s1 .open_connections 3
	expect "$(backend s1 '"\(.state) \(.changed)"')" = 'draining ["draining"]'
	run -0 lab show b1
	says 'connections left; by hand, and not in the file: draining'
	expect "$(events drained)" -eq 0

	wait "$steady"
	cat "$BATS_TEST_TMPDIR/steady"
	expect "$(tail -n 1 "$BATS_TEST_TMPDIR/steady" | jq -r .lost)" -eq 0
	expect "$(load_result .errors)" -eq 0
	wait_until 10 backend_is s1 .open_connections 0
	wait_until 10 event_has_come drained

	run -0 change undrain s1
	says 'new connections: yes'
	expect "$(names_got 40)" = '20 s1 20 s2'
	expect "$(backend s1 '"\(.state) \(.changed)"')" = 'healthy []'
	expect "$(events draining) $(events drained) $(events undrained)" = '1 1 1'
}

# hold: two connections that ask for nothing, one to each server, until their client is ended. Its pid is holder.
hold() {
	inside c1 bash -c "exec 8<>/dev/tcp/$LAB_VIP/80 9<>/dev/tcp/$LAB_VIP/80; exec sleep 60" 3>&- &
	holder=$!
	wait_until 5 is_over s1 .open_connections 0
}

# In the background, with s1. Its pid is waiter, what it says is in a file.
wait_drained() {
	change drain s1 --wait >"$BATS_TEST_TMPDIR/waited" 2>&1 &
	waiter=$!
}

# waiter_ends STATUS
waiter_ends() {
	local status=0

	wait_until 10 process_gone "$waiter"
	wait "$waiter" || status=$?
	output=$(cat "$BATS_TEST_TMPDIR/waited")
	expect "$status" -eq "$1"
}

waiter_said() {
	grep -q "$1" "$BATS_TEST_TMPDIR/waited"
}

@test "drain --wait ends with the last connection, even if the daemon was away; and whatever ends it before is told" {
	local holder waiter began=$SECONDS

	hold
	run -3 change drain s1 --wait=1
	says '1 s are over; '
	says 'goes on draining, 1 connection left; "plimsoll undrain web'
	expect $((SECONDS - began)) -lt 30
	run -3 --separate-stderr change drain s1 --wait=1s --json
	jq -e '.backend.open_connections == 1 and .waited_seconds >= 1 and (.error | test("1 s are over"))' <<<"$output"

	wait_drained
	wait_until 5 waiter_said 'draining: no new connections, 1 left'
	kill -INT "$(pgrep -P "$waiter" || echo "$waiter")"
	waiter_ends 130
	says 'interrupted; '
	says 'goes on draining, 1 connection left'
	expect "$(backend s1 .state)" = draining

	wait_drained
	wait_until 5 waiter_said '1 left'
	change undrain s1
	waiter_ends 1
	says 'somebody has taken the drain back'
	says 'gets new connections again'

	wait_drained
	wait_until 5 waiter_said '1 left'
	lab kill b1
	wait_until 5 waiter_said 'does not run'
	lab start b1
	kill "$(pgrep -P "$holder" || echo "$holder")"
	waiter_ends 0
	says 'none is left after'
	run -0 change drain s1 --wait --json
	jq -e '.backend.drained and .error == null' <<<"$output"
	change undrain s1
	expect "$(backend s1 .drained)" = false
}

# all_changed: of both backends, what the balancer says of hand-made changes.
all_changed() {
	show b1 '[.services[0].backends[] | .weight, .state, .changed[]] | join(" ")'
}

all_changed_is() {
	[ "$(all_changed)" = "$1" ]
}

@test "a weight of 3 gets exactly three of four, and whoever takes over knows of it" {
	run -0 change weight s1 3
	says 'weight 3'
	expect "$(names_got 40)" = '30 s1 10 s2'
	expect "$(backend s1 '"\(.weight) \(.weight_in_force) \(.changed)"')" = '3 3 ["weight"]'
	expect "$(events weight-set)" -eq 1
	change drain s2
	lab kill b1
	lab start b1
	wait_until 5 all_changed_is '3 healthy weight 1 draining draining'
	grep -q "made by hand, and kept: backend $(address s1) of web: weight is 3, was 1" "$STATE/b1/plimsoll.log"
	change undrain s2
	lab takeover b1
	wait_until 5 all_changed_is '3 healthy weight 1 healthy'
	expect "$(names_got 40)" = '30 s1 10 s2'
}

@test "what the file says anew, and what is read again, is stronger than a hand" {
	local file=$STATE/b1/balancer.yaml

	change weight s1 3
	change weight s2 5
	lab kill b1
	sed -i "/$(address s1),/s/weight: 1/weight: 2/" "$file"
	lab start b1
	wait_until 5 all_changed_is '2 healthy 5 healthy weight'
	grep -q "undone by the file.* backend $(address s1) of web" "$STATE/b1/plimsoll.log"
	sed -i "/$(address s1),/s/weight: 2/weight: 1/" "$file"
	"$PLIMSOLL" reload --instance "$(namespace b1)" 3>&-
	[ ! -e "/run/plimsoll/$(namespace b1)/by-hand" ]
	lab kill b1
	lab start b1
	expect "$(names_got 40)" = '20 s1 20 s2'
	wait_until 5 all_changed_is '1 healthy 1 healthy'
}

@test "what cannot be written down is in force, and that is said; damaged, it is as if nothing had been" {
	local note

	note=/run/plimsoll/$(namespace b1)/by-hand
	mkdir "$note.new"
	run -0 change weight s1 3
	says 'could not be written down: the next daemon will not know of it'
	wait_until 5 all_changed_is '3 healthy weight 1 healthy'
	rmdir "$note.new"
	change weight s1 4
	lab kill b1
	echo '[{"service": 1, "now": {"address": "10.1' >"$note"
	lab start b1
	grep -q 'cannot be read: .*; what was changed by hand is undone' "$STATE/b1/plimsoll.log"
	wait_until 5 all_changed_is '1 healthy 1 healthy'
	[ ! -e "$note" ]
}

@test "while another daemon gets ready to take over, nothing is changed: it would not know of it" {
	local lock

	lock=/run/plimsoll/$(namespace b1)/successor
	exec {lock_file}>"$lock"
	flock "$lock_file"
	run -1 change weight s1 3
	says 'another daemon is about to take over; nothing has changed, ask again in a moment'
	run -1 "$PLIMSOLL" reload --instance "$(namespace b1)"
	says 'another daemon is about to take over'
	exec {lock_file}>&-
	wait_until 5 all_changed_is '1 healthy 1 healthy'
}

@test "the last one may be drained: that is said, and new connections are dropped under that name" {
	local dropped

	change drain s1
	run -0 change drain s2
	says 'no backend of the service takes new connections now'
	expect "$(events no-backend)" -eq 1
	dropped=$(counter b1 no-backend)
	run ! fetch name --max-time 1
	expect "$(counter b1 no-backend)" -gt "$dropped"
	expect "$(ask /api/v1/health -o /dev/null -w '%{http_code}')" = 503
	change undrain s1
	expect "$(names_got 10)" = '10 s1'
	change undrain s2 --json | jq -e '.backend.state == "healthy" and .warning == null'
}

# answered METHOD STATUS: as documented.
answered() {
	"$BATS_TEST_DIRNAME/api.py" answer "$OPENAPI" '/api/v1/services/{name}/backends/{address}' "$2" "$1" \
		<"$BATS_TEST_TMPDIR/answer"
}

@test "the socket takes changes as documented, and nobody else does" {
	expect "$(post s1 '{"weight": 2, "draining": true}')" = 200
	answered post 200
	expect "$(post s1 '{"weight": 1, "draining": false}')" = 200
	expect "$(backend s1 '"\(.weight) \(.state)"')" = '1 healthy'
	ask "/api/v1/services/web/backends/$(address s1)" -o "$BATS_TEST_TMPDIR/answer"
	answered get 200
	expect "$(post s1 '{"weight": 0, "draining": true}')" = 400
	answered post 400
	expect "$(backend s1 '"\(.weight) \(.state)"')" = '1 healthy'
	expect "$(post c1 '{"weight": 2}')" = 404
	answered post 404
	expect "$(post s1 "$(printf '%05000d' 0)")" = 413
	expect "$(inside b1 curl -sS -d '{"weight": 2}' -o "$BATS_TEST_TMPDIR/answer" -w '%{http_code}' \
		"http://$LAB_LISTEN/api/v1/services/web/backends/$(address s1)")" = 405
	answered post 405
	run -0 jq -r .error "$BATS_TEST_TMPDIR/answer"
	says "changes are for the socket /run/plimsoll/$(namespace b1)/api.sock"
	expect "$(stat -c '%a %U' "/run/plimsoll/$(namespace b1)/api.sock")" = '600 root'
	run -1 setpriv --reuid=65534 --regid=65534 --clear-groups "$PLIMSOLL" weight web "$(address s1)" 2 --instance "$(namespace b1)"
	says 'use sudo'
	expect "$(backend s1 .weight)" = 1
}

@test "what cannot be changed is refused in words" {
	run -2 change weight s1 0
	says 'a whole number from 1 to 1000'
	run -2 change weight s1
	says 'WEIGHT is missing'
	run -2 change drain s1 --wait=soon
	says '"soon" is no time from 1 to 604800 seconds, such as 60 or 60s'
	run -2 change drain s1 --wait=0
	run -2 change drain s1 --wait=99999999999999999999
	run -2 change undrain s1 --wait
	run -1 change drain c1
	says "there is no backend \"$(address c1)\" of a service \"web\""
	says "it has: $(address s1), $(address s2)"
	run -1 "$PLIMSOLL" drain "$(address s1)" web --instance "$(namespace b1)"
	says "\"web\" is a service and \"$(address s1)\" a backend of it: the service comes first"
	run -1 "$PLIMSOLL" drain wbe "$(address s1)" --instance "$(namespace b1)"
	says 'there is no service "wbe"; there are: web'
	run -1 change drain c1 --json
	jq -e .error <<<"$output"
	run -1 "$PLIMSOLL" drain web "$(address s1)" --instance "$(namespace s1)"
	says 'is no balancer'
}
