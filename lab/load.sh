#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The load: wrk on a client, a new connection for every request. Sourced, not run.

# count_down SECONDS: for who waits at a terminal. It ends with the shell that has started it.
count_down() {
	local left

	[ -t 2 ] || return 0
	for ((left = $1; left > 0; left--)); do
		kill -0 $$ 2>/dev/null || return 0
		progress "load for $left s more"
		sleep 1
	done
}

# lab_wrk [--json] [KEY=VALUE...]: prints requests/s and the percentiles of the latency.
lab_wrk() {
	local client=c1 target=$LAB_VIP path=/10k duration=10 connections=64 threads=1 json=no
	local argument output waiting nice=(nice -n $((LAB_NICE - $(nice))))

	require_lab 'lab wrk'
	require_program wrk wrk
	for argument in "$@"; do
		case $argument in
		--json) json=yes ;;
		client=*) client=${argument#*=} ;;
		target=*) target=${argument#*=} ;;
		path=*) path=${argument#*=} path=/${path#/} ;;
		duration=*) duration=${argument#*=} ;;
		connections=*) connections=${argument#*=} ;;
		threads=*) threads=${argument#*=} ;;
		*) die "wrk: \"$argument\" is unknown; --json, client=, target=, path=, duration=, connections= and" \
			'threads= are known' ;;
		esac
	done
	require_machine "$client" c
	[[ $target =~ ^[bsc][0-9]+$ ]] && require_machine "$target" && target=$(address "$target")
	[[ $duration =~ ^[1-9][0-9]*$ ]] || die "wrk: duration=$duration is not possible; a number of seconds is"
	count_down "$duration" &
	waiting=$!
	output=$(inside "$client" "${nice[@]}" wrk -s "$ROOT/lab/wrk.lua" -t "$threads" -c "$connections" \
		-d "$duration" --timeout 5 "http://$target$path" 2>&1) ||
		die "wrk: $output"
	kill "$waiting" 2>/dev/null
	progress
	if [ $json = yes ]; then
		tail -n 1 <<<"$output"
	else
		tail -n 1 <<<"$output" | jq -r '"\(.requests_per_second) requests/s, latency in ms: " +
			"p50 \(.p50_ms), p99 \(.p99_ms), p99.9 \(.p999_ms), max \(.max_ms); errors: \(.errors)"'
	fi
}
