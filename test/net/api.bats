#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What the daemons answer in HTTP is what doc/openapi.yaml says, in both directions; a real Prometheus
# reads the metrics; alerts and dashboard ask for what there is.

load helpers

OPENAPI=$BATS_TEST_DIRNAME/../../doc/openapi.yaml
PACKAGING=$BATS_TEST_DIRNAME/../../packaging
JSON_PATHS='/api/v1/status /api/v1/status?service=web /api/v1/instance /api/v1/summary /api/v1/services /api/v1/services/web /api/v1/backends /api/v1/loads
	/api/v1/health /api/v1/events'

setup_file() {
	open_lab clients=1 servers=2
	[ -n "${LAB:-}" ] || return 0
	lab nginx
	lab config
	# A server listens only where it is told to.
	echo 'listen: 0.0.0.0:9570' >>"$STATE/s1/server.yaml"
	lab start all
}

# metrics MACHINE: asks for them.
metrics() {
	ask "$1" /metrics >"$BATS_TEST_TMPDIR/metrics"
}

# metric SAMPLE: from what was asked for last.
metric() {
	awk -v sample="$1" '$1 == sample { print $2 }' "$BATS_TEST_TMPDIR/metrics"
}

check_api() {
	"$BATS_TEST_DIRNAME/api.py" "$@"
}

# ask MACHINE PATH [ARGUMENTS OF curl...]: on its socket.
ask() {
	local machine=$1 path=$2

	shift 2
	curl -sS --max-time 10 --unix-socket "/run/plimsoll/$LAB-$machine/api.sock" "$@" "http://x$path"
}

# ask_tcp PATH [ARGUMENTS OF curl...]: where the balancer listens.
ask_tcp() {
	local path=$1

	shift
	inside b1 curl -sS --max-time 10 "$@" "http://$LAB_LISTEN$path"
}

# answers PATH [STATUS]: on both sockets, as documented.
answers() {
	local path=$1 status=${2:-200} documented=${1%%\?*}

	[[ $path != /api/v1/services/* ]] || documented='/api/v1/services/{name}'
	expect "$(ask b1 "$path" -o "$BATS_TEST_TMPDIR/socket" -w '%{http_code}')" = "$status"
	expect "$(ask_tcp "$path" -o "$BATS_TEST_TMPDIR/tcp" -w '%{http_code}')" = "$status"
	check_api answer "$OPENAPI" "$documented" "$status" <"$BATS_TEST_TMPDIR/socket"
	check_api answer "$OPENAPI" "$documented" "$status" <"$BATS_TEST_TMPDIR/tcp"
}

answer_all() {
	local path

	for path in $JSON_PATHS; do
		answers "$path"
	done
}

@test "the document is whole: all fields required, no others allowed, all paths there" {
	check_api schemas "$OPENAPI"
	check_api routes "$OPENAPI" "$ROOT"/src/balancer/routes.c "$ROOT"/src/server/routes.c
}

@test "what is answered is what is documented, idle and under load" {
	answer_all
	load_start duration=2 connections=4
	wait_until 5 backend_is s1 .known true
	answer_all
	expect "$(load_result .requests_per_second)" != 0
}

@test "a server answers its status and its metrics, and in TCP where it is told to" {
	check_api answer "$OPENAPI" /api/v1/status 200 < <(ask s1 /api/v1/status)
	check_api answer "$OPENAPI" /api/v1/instance 200 < <(ask s1 /api/v1/instance)
	expect "$(ask s1 /api/v1/instance | jq -r .role)" = server
	check_api answer "$OPENAPI" /api/v1/status 200 < <(
		inside b1 curl -sS "http://$(address s1):9570/api/v1/status"
	)
	run -7 inside b1 curl -sS --max-time 2 "http://$(address s2):9570/api/v1/status"
	run -0 ask s1 /api/v1/services
	says '"error":"no such path; there are /api/v1/status, /api/v1/instance, /api/v1/reload, /api/v1/config, /metrics"'
}

@test "what is wrong is said, with its status" {
	answers /api/v1/services/nobody 404
	answers /api/v1/events?after=yesterday 400
	answers /api/v1/stream?interval_ms=1 400
	answers /api/v1/stream?service=nobody 404
	answers /api/v1/status?service=nobody 404
	run -0 ask_tcp /api/v1/status -i -X DELETE
	says '405'
	says 'Allow: GET, HEAD'
	expect "$(ask_tcp /api/v1/status -I -o /dev/null -w '%{http_code} %{size_download}')" = '200 0'
	expect "$(ask_tcp /nothing -o /dev/null -w '%{http_code}')" = 404
}

@test "the page comes with its type, a strict policy, and not twice" {
	run -0 ask_tcp / -i
	says 'Content-Type: text/html'
	says "Content-Security-Policy: default-src 'self'"
	expect "$(ask_tcp / --etag-save "$BATS_TEST_TMPDIR/tag" -o /dev/null -w '%{http_code}')" = 200
	expect "$(ask_tcp / --etag-compare "$BATS_TEST_TMPDIR/tag" -o /dev/null -w '%{http_code}')" = 304
}

# stream_until PATTERN: from the first event on, until the pattern has come.
stream_until() {
	(inside b1 curl -sSN --max-time 15 -H 'Last-Event-ID: 0' \
		"http://$LAB_LISTEN/api/v1/stream?interval_ms=100" || true) |
		sed "/$1/q"
	# sed leaves the message unfinished.
	echo
}

@test "a stream tells the status, and events at once: a server that stops reporting, and begins again" {
	load_start duration=12 connections=4
	wait_until 5 backend_is s2 .known true
	# The server goes on, and says nothing more.
	lab stop s2
	lab direct s2
	stream_until '"load-unknown"' >"$BATS_TEST_TMPDIR/stream"
	run -0 check_api stream "$OPENAPI" <"$BATS_TEST_TMPDIR/stream"
	says 'load-unknown 1'
	says 'start 1'
	says 'xdp-mode 1'
	says 'backend-up 2'
	[[ $output =~ status\ [1-9] ]]
	expect "$(ask b1 /api/v1/events | jq -r '.events[] | select(.kind == "load-unknown").backend')" = \
		"$(address s2)"
	expect "$(ask b1 /api/v1/health | jq -r .health)" != failing
	lab start s2
	stream_until 'reports its load again' >"$BATS_TEST_TMPDIR/stream"
	run -0 check_api stream "$OPENAPI" <"$BATS_TEST_TMPDIR/stream"
	says 'load-known 3'
}

@test "metrics are as Prometheus likes them, and their numbers those of the status" {
	metrics s1
	promtool check metrics <"$BATS_TEST_TMPDIR/metrics"
	wait_until 5 wire_is_quiet
	sleep 0.3
	metrics b1
	promtool check metrics <"$BATS_TEST_TMPDIR/metrics"
	expect "$(ask_tcp /metrics -o /dev/null -w '%{content_type}')" = \
		'text/plain; version=0.0.4; charset=utf-8'
	expect "$(metric "plimsoll_packets_total{action=\"send\",reason=\"forwarded\"}")" = \
		"$(counter b1 forwarded)"
	expect "$(metric "plimsoll_backend_connections_total{service=\"web\",backend=\"$(address s1)\"}")" = \
		"$(backend s1 .connections)"
	expect "$(metric "plimsoll_server_reports_total{server=\"$(address s1)\"}")" = "$(backend s1 .reports)"
	expect "$(metric 'plimsoll_report_age_seconds_bucket{le="+Inf",service="web"}')" = \
		"$(metric 'plimsoll_report_age_seconds_count{service="web"}')"
	expect "$(metric 'plimsoll_reported_latency_seconds_count{service="web"}')" -gt 0
	expect "$(metric 'plimsoll_service_open_backends{service="web"}')" -eq 2
}

@test "a real Prometheus reads the metrics of a balancer and a server" {
	local directory=$BATS_TEST_TMPDIR prometheus

	cat >"$directory/prometheus.yml" <<-END
		global: {scrape_interval: 500ms, evaluation_interval: 500ms}
		rule_files: [$(realpath "$PACKAGING/prometheus/plimsoll.rules.yaml")]
		scrape_configs:
		  - job_name: plimsoll
		    static_configs: [{targets: ['$LAB_LISTEN', '$(address s1):9570']}]
	END
	promtool check config "$directory/prometheus.yml"
	inside b1 prometheus --config.file="$directory/prometheus.yml" --storage.tsdb.path="$directory/data" \
		--web.listen-address=127.0.0.1:9090 --log.level=error 3>&- &
	prometheus=$!
	fetch_names 20 >"$directory/names"
	wait_until 20 prometheus_has 'count(up == 1)' 2
	wait_until 20 prometheus_has 'sum(plimsoll_backend_connections_total)' \
		"$(show b1 .services[0].connections)"
	prometheus_has 'sum(plimsoll_backend_up)' 2
	prometheus_has 'count(plimsoll_build_info)' 2
	prometheus_has 'plimsoll_agent_requests_total' "$(show s1 .load.requests)"
	prometheus_has 'count(histogram_quantile(0.5, plimsoll_reported_latency_seconds_bucket))' 1
	prometheus_has 'count(ALERTS) or vector(0)' 0
	kill "$prometheus"
	wait "$prometheus" || true
}

# prometheus_has QUERY VALUE: now.
prometheus_has() {
	local value

	value=$(inside b1 curl -sS --get --data-urlencode "query=$1" http://127.0.0.1:9090/api/v1/query |
		jq -r '.data.result[0].value[1]')
	[ "$value" = "$2" ] || fail "$1 is $value, not $2"
}

@test "each alert fires when it should, and none when all is well" {
	promtool check rules "$PACKAGING/prometheus/plimsoll.rules.yaml"
	promtool test rules "$BATS_TEST_DIRNAME/../prometheus/rules.test.yaml"
}

@test "dashboard and alerts ask for metrics that there are" {
	{ ask b1 /metrics && ask s1 /metrics; } >"$BATS_TEST_TMPDIR/metrics"
	check_api dashboard "$PACKAGING/grafana/plimsoll.json" "$BATS_TEST_TMPDIR/metrics"
	check_api dashboard "$PACKAGING/prometheus/plimsoll.rules.yaml" "$BATS_TEST_TMPDIR/metrics"
}
