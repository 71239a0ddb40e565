#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# `plimsoll top` on a terminal, and `plimsoll show` in detail.

load helpers

setup_file() {
	open_lab clients=1 servers=4
	[ -n "${LAB:-}" ] || return 0
	lab nginx
	lab config
	lab start all
}

setup() {
	[ "$(id -u)" -eq 0 ] || skip 'network namespaces are root'\''s to make'
	start_missing b1
	TERMINAL=$BATS_TEST_TMPDIR/tmux
}

teardown() {
	[ ! -S "$TERMINAL" ] || tmux -S "$TERMINAL" kill-server
	end_client_programs
}

# terminal_open COLUMNS ROWS: a shell that says "$ ".
terminal_open() {
	env -u TMUX PS1='$ ' tmux -S "$TERMINAL" -f /dev/null new-session -d -x "$1" -y "$2" -c "$BATS_TEST_TMPDIR" \
		'env -u NO_COLOR sh' 3>&-
	tmux -S "$TERMINAL" set-option -g status off
	keys 'stty -a | tail -n 3 >before; clear; echo marker' Enter
	wait_until 5 screen_has marker
}

top_start() {
	keys "$PLIMSOLL top --interval 200ms --instance $(namespace b1)" Enter
	wait_until 5 screen_has 'q quit'
}

keys() {
	tmux -S "$TERMINAL" send-keys "$@"
}

screen() {
	tmux -S "$TERMINAL" capture-pane -p
}

screen_has() { # TEXT
	screen | grep -qF -- "$1"
}

screen_lacks() {
	! screen_has "$1"
}

show_b1() {
	"$PLIMSOLL" show --instance "$(namespace b1)" "$@"
}

@test "top shows all backends, and q leaves the terminal as it was" {
	cd "$BATS_TEST_TMPDIR"
	terminal_open 110 20
	top_start
	screen_has "balancer $(namespace b1): up "
	screen_has '4 of 4 backends up'
	expect "$(screen | grep -cE '^ *web  *10\.1\.0\.1[1-4]  *(healthy|unknown) ')" -eq 4
	tmux -S "$TERMINAL" capture-pane -pe | grep -q $'\e\\[1m'
	keys q
	wait_until 5 screen_lacks 'q quit'
	wait_until 5 screen_has marker
	keys 'stty -a | tail -n 3 >after; echo done' Enter
	wait_until 5 test -s after
	cmp before after
	expect "$(tmux -S "$TERMINAL" display-message -p '#{alternate_on} #{cursor_flag}')" = '0 1'
}

@test "top sorts, by what is asked and backwards" {
	terminal_open 110 20
	top_start
	fetch_names 20 >/dev/null
	keys s
	wait_until 5 screen_has '[share]'
	keys n
	wait_until 5 screen_has '[none]'
	keys r
	wait_until 5 top_order '10.1.0.14 10.1.0.13 10.1.0.12 10.1.0.11'
	keys r
	wait_until 5 top_order '10.1.0.11 10.1.0.12 10.1.0.13 10.1.0.14'
}

top_order() {
	[ "$(screen | awk '$1 == "web" { print $2 }' | xargs)" = "$1" ]
}

@test "top fits into every window, and scrolls where one is too small" {
	terminal_open 110 20
	top_start
	tmux -S "$TERMINAL" resize-window -x 60 -y 5
	wait_until 5 top_order '10.1.0.11 10.1.0.12'
	keys Down
	wait_until 5 top_order '10.1.0.12 10.1.0.13'
	keys End
	wait_until 5 top_order '10.1.0.13 10.1.0.14'
	keys PPage
	wait_until 5 top_order '10.1.0.11 10.1.0.12'
	screen_has 'backend'
	tmux -S "$TERMINAL" resize-window -x 110 -y 20
	wait_until 5 top_order '10.1.0.11 10.1.0.12 10.1.0.13 10.1.0.14'
}

@test "top stays while the daemon is away" {
	terminal_open 110 20
	top_start
	lab kill b1
	wait_until 5 screen_has 'the daemon does not answer'
	lab start b1
	wait_until 5 screen_lacks 'the daemon does not answer'
}

@test "top wants a terminal" {
	run -1 "$PLIMSOLL" top --instance "$(namespace b1)"
	says 'top wants a terminal; for scripts there is "plimsoll show --json"'
}

@test "show tells one service and one backend in detail" {
	fetch_names 10 >/dev/null
	run -0 show_b1 web
	says 'service web'
	says 'policy                 power-of-choices'
	says '10.1.0.14'
	run -0 show_b1 "$LAB_VIP:80" 10.1.0.12
	says 'backend 10.1.0.12 of service web'
	says 'state                  healthy'
	expect "$(show_b1 web --json | jq -r .name)" = web
	expect "$(show_b1 web 10.1.0.12 --json | jq -r .address)" = 10.1.0.12
}

@test "what show cannot find it tells, in JSON too" {
	run -1 show_b1 wrong
	says 'there is no service "wrong" here; there are: web'
	run -1 show_b1 web 10.1.0.99 --json
	says '10.1.0.11, 10.1.0.12'
	expect "$(jq -r .error <<<"$output" | grep -c '^there is no backend "10.1.0.99" here')" -eq 1
	run -1 --separate-stderr "$PLIMSOLL" show --instance nobody --json
	expect "$(jq -r .error <<<"$output")" = 'there is no instance nobody'
}

last_of_top() { # ADDRESS
	[ "$(screen | awk '$1 == "web" { last = $2 } END { print last }')" = "$1" ]
}

# Those that are not there are down, and shown all the same.
@test "top with 500 backends: wide, narrow, to the end and back" {
	local i

	lab stop b1
	for ((i = 0; i < 496; i++)); do
		echo "      - {address: 10.1.$((2 + i / 200)).$((1 + i % 200)), weight: 1, forward: l2}"
	done >>"$STATE/b1/balancer.yaml"
	lab start b1
	terminal_open 200 50
	top_start
	screen_has 'of 500 backends up, shown from 1'
	expect "$(screen | grep -c '^ *web ')" -eq 47
	keys End
	wait_until 5 last_of_top 10.1.4.96
	tmux -S "$TERMINAL" resize-window -x 40 -y 10
	wait_until 5 last_of_top 10.1.4.56
	keys End
	wait_until 5 last_of_top 10.1.4.96
	keys Home
	wait_until 5 screen_has 10.1.0.11
	expect "$(screen | grep -c '^ *web ')" -eq 7
	keys q
	wait_until 5 screen_lacks 'q quit'
}
