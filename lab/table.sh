#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The demo's live table: a line per server while the load runs. Sourced, not run.

TABLE_BAR_WIDTH=40 # characters for a share of 100 %

declare -A TABLE_BEFORE=() # connections per server at the last refresh
TABLE_TIME_NS=0 # of the last refresh
TABLE_DRAWN=0 # lines to go back before drawing again
TABLE_NOTE=''

# table_start: forgets what was drawn before; the next refresh starts a new table.
table_start() {
	TABLE_DRAWN=0
	TABLE_NOTE=''
	table_remember "$(wire_connections)"
}

table_remember() {
	local server count

	while read -r server count; do
		TABLE_BEFORE[$server]=$count
	done <<<"$1"
	TABLE_TIME_NS=$(date +%s%N)
}

# table_watch PID [SECOND=COMMAND...]: refreshes every second until the process ends; after the
# refresh of the given second it runs the command.
table_watch() {
	local pid=$1 second=0 event start

	shift
	start=$(date +%s%N)
	while ! process_gone "$pid"; do
		second=$((second + 1))
		sleep_until $((start + second * 1000000000))
		process_gone "$pid" || table_refresh "$second"
		for event in "$@"; do
			[ "${event%%=*}" -ne "$second" ] || ${event#*=}
		done
	done
}

sleep_until() {
	local left=$(($1 - $(date +%s%N)))

	[ "$left" -le 0 ] || sleep "$(printf '%d.%09d' $((left / 1000000000)) $((left % 1000000000)))"
}

# What the table shows of every server: NAME CONNECTIONS IN_FLIGHT LATENCY_US REPORT_AGE_MS.
table_refresh() {
	local second=$1 connections rows

	connections=$(wire_connections)
	rows=$(table_loads | join - <(sort <<<"$connections"))
	if [ -t 1 ]; then
		table_draw "$second" "$rows"
	else
		table_line "$second" "$rows"
	fi
	table_remember "$connections"
}

# With feedback the loads are what the balancer knows from the reports; without it they are what
# the servers' own meters say, which nobody tells the balancer.
table_loads() {
	local server

	if [ "$FEEDBACK" = in-band ]; then
		lab_show b1 --json
	else
		for server in $(machines s); do
			lab_show "$server" --json
		done
	fi | jq -r '
		def known: . // "-";
		if .role == "balancer"
		then .services[0].backends[] |
			"s\((.address | split(".")[3] | tonumber) - 10) " +
			"\(.in_flight | known) \(.latency_us | known) \(.report_age_ms | known)"
		else "\(.instance | split("-")[1]) \(.load.in_flight) \(.load.latency_us | known) -"
		end' | sort
}

# table_total ROWS: the new connections since the last refresh.
table_total() {
	local server in_flight latency age count total=0

	while read -r server in_flight latency age count; do
		total=$((total + count - TABLE_BEFORE[$server]))
	done <<<"$1"
	echo "$total"
}

# table_rate CONNECTIONS: per second, over the time since the last refresh.
table_rate() {
	echo $(($1 * 1000 / (($(date +%s%N) - TABLE_TIME_NS) / 1000000)))
}

# table_share SERVER COUNT TOTAL: its share of them, in thousandths.
table_share() {
	echo $(($3 ? ($2 - TABLE_BEFORE[$1]) * 1000 / $3 : 0))
}

table_draw() {
	local second=$1 rows=$2 server in_flight latency age count total share

	total=$(table_total "$rows")
	[ "$TABLE_DRAWN" -eq 0 ] || printf '\033[%dA' "$TABLE_DRAWN"
	TABLE_DRAWN=2
	table_text '  %-7s %8s  %9s  %8s  %8s  %s' server capacity in-flight latency report \
		'share of the new connections'
	while read -r server in_flight latency age count; do
		share=$(table_share "$server" "$count" "$total")
		table_text '  %-7s %8s  %9s  %8s  %8s  %3d %% %s' "$server" "$(capacity_of "$server")" \
			"$in_flight" "$(milliseconds "$latency" 1000)" "$(milliseconds "$age" 1)" \
			$(((share + 5) / 10)) "$(bar "$share")"
		TABLE_DRAWN=$((TABLE_DRAWN + 1))
	done <<<"$rows"
	table_text '  %2d s, %d new connections/s   %s' "$second" "$(table_rate "$total")" "$TABLE_NOTE"
}

table_text() {
	local format=$1

	shift
	# shellcheck disable=SC2059 # the format is the caller's
	printf "$format\033[K\n" "$@"
}

# The same for a file or a pipe: one line a second.
table_line() {
	local second=$1 rows=$2 server in_flight latency age count total share text=''

	total=$(table_total "$rows")
	while read -r server in_flight latency age count; do
		share=$(table_share "$server" "$count" "$total")
		text+=$(printf ' | %s %2d %% (%s in flight)' "$server" $(((share + 5) / 10)) "$in_flight")
	done <<<"$rows"
	printf '  %2d s %5d/s%s  %s\n' "$second" "$(table_rate "$total")" "$text" \
		"$TABLE_NOTE"
}

# milliseconds NUMBER UNITS: "4.1 ms" from a number of units of which UNITS make one; "-" stays.
milliseconds() {
	[ "$1" != - ] && awk -v n="$1" -v u="$2" 'BEGIN { printf "%.1f ms", n / u }' || printf '%s' -
}

bar() {
	local width=$((($1 * TABLE_BAR_WIDTH + 500) / 1000)) text

	printf -v text '%*s' "$width" ''
	printf '%s' "${text// /#}"
}
