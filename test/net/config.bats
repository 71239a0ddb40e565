#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Wrong configurations, through the real program: file, line, key, the bad text and what would be
# right. The mistakes in depth are test/unit/test_config.c's.
# shellcheck disable=SC2030,SC2031 # bats runs every test in a subshell of its own

setup() {
	root=$(cd "$(dirname "$BATS_TEST_FILENAME")/../.." && pwd)
	plimsoll=${PLIMSOLL:-$root/build/plimsoll}
	cd "$BATS_TEST_TMPDIR" || return 1
}

# A balancer's file whose service and backend have the lines given added (lines 5 and 7 of the file).
balancer_file() { # SERVICE-LINE BACKEND-KEYS
	cat <<-END
		interfaces: [eth0]
		services:
		  - name: web
		    address: 10.1.0.100:80
		    ${1:-signal: in-flight}
		    backends:
		      - {address: ${2:-10.1.0.3}}
	END
}

# A server's file with this line as its third.
server_file() { # LINE
	local services='services: [{address: "10.1.0.100:80"}]'

	cat <<-END
		interfaces: [eth0]
		balancers: [10.1.0.2]
		${1:-$services}
	END
}

check() {
	run "$plimsoll" check-config file.yaml
}

# That the check failed, and told this line.
told() { # LINE KEY WORDS
	[ "$status" -eq 1 ] || {
		echo "status $status: $output"
		return 1
	}
	grep -F -- "file.yaml:$1: $2: " <<<"$output" | grep -F -- "$3" || {
		echo "not told: $1: $2: $3"
		echo "$output"
		return 1
	}
}

# ------------------------------------------------------------------- for machines

@test "--json: what is in a right file" {
	balancer_file >file.yaml
	run "$plimsoll" check-config --json file.yaml
	[ "$status" -eq 0 ]
	[ "$(jq -c . <<<"$output")" = \
		'{"file":"file.yaml","role":"balancer","services":1,"mistakes":[],"backends":1}' ]
}

@test "--json: each mistake with file, line, key and message" {
	server_file 'servicse: []' >file.yaml
	run "$plimsoll" check-config --json file.yaml
	[ "$status" -eq 1 ]
	[[ $(jq -r .error <<<"$output") == file.yaml* ]]
	[ "$(jq -c '.mistakes[0] | [.file, .line, .key, .message != ""]' <<<"$output")" = \
		'["file.yaml",3,"servicse",true]' ]
	run "$plimsoll" check-config --json nowhere.yaml
	[ "$status" -eq 1 ]
	[ "$(jq -c '.mistakes[] | [.file, .line, .key]' <<<"$output")" = '["nowhere.yaml",null,null]' ]
	[[ $(jq -r '.mistakes[].message' <<<"$output") == *'No such file'* ]]
	run "$plimsoll" check-config --json --explain
	[ "$status" -eq 2 ]
}

# ------------------------------------------------------------------- right

@test "a right balancer file" {
	balancer_file >file.yaml
	check
	[ "$status" -eq 0 ]
	[ "$output" = "file.yaml: a valid balancer configuration: 1 service, 1 backend" ]
}

@test "a right server file" {
	server_file >file.yaml
	check
	[ "$status" -eq 0 ]
	[ "$output" = "file.yaml: a valid server configuration: 1 service, 1 balancer" ]
}

@test "--explain tells every key" {
	run "$plimsoll" check-config --explain balancer
	[ "$status" -eq 0 ]
	for key in interfaces listen report_key echo xdp_mode flow_table entries udp_timeout outer_source hash_seed services name address \
		protocol policy choices signal feedback stale_after ring_size backends weight forward; do
		grep -qE "^ *$key: (required|optional|default )" <<<"$output"
	done
	run "$plimsoll" check-config --explain server
	[ "$status" -eq 0 ]
	for key in interfaces balancers report_key report min_interval max_interval max_share services; do
		grep -qE "^ *$key: (required|optional|default )" <<<"$output"
	done
}

@test "wrong usage is status 2" {
	run "$plimsoll" check-config
	[ "$status" -eq 2 ]
	run "$plimsoll" check-config --explain router
	[ "$status" -eq 2 ]
	run "$plimsoll" check-config one two
	[ "$status" -eq 2 ]
}

# -------------------------------------------------------------------- the file

@test "no such file" {
	check
	[ "$status" -eq 1 ]
	[ "$output" = "file.yaml: cannot be read: No such file or directory" ]
}

@test "an empty file" {
	: >file.yaml
	check
	[ "$status" -eq 1 ]
	[[ $output == "file.yaml:1: is empty;"* ]]
}

@test "a program instead of a text" {
	cp "$plimsoll" file.yaml
	truncate -s 4096 file.yaml
	check
	[ "$status" -eq 1 ]
	[[ $output == "file.yaml:1: is not YAML: "*"expected UTF-8 text" ]]
}

@test "a file of 17 MiB" {
	head -c 17825792 /dev/zero | tr '\0' '#' >file.yaml
	check
	[ "$status" -eq 1 ]
	[[ $output == "file.yaml: is larger than 16 MiB;"* ]]
}

@test "broken YAML" {
	balancer_file >file.yaml
	echo '}' >>file.yaml
	check
	[ "$status" -eq 1 ]
	[[ $output == "file.yaml:8: is not YAML: "* ]]
}

@test "a tab" {
	printf 'interfaces:\n\t- eth0\n' >file.yaml
	check
	[ "$status" -eq 1 ]
	[ "$output" = "file.yaml:2: is not YAML: a tab indents the line; expected spaces" ]
}

@test "a list instead of a mapping" {
	echo '- interfaces' >file.yaml
	check
	[ "$status" -eq 1 ]
	[[ $output == "file.yaml:1: a list is no mapping;"* ]]
}

@test "neither a balancer's nor a server's" {
	echo 'interfaces: [eth0]' >file.yaml
	check
	[ "$status" -eq 1 ]
	[[ $output == "file.yaml:1: is no configuration of ours;"* ]]
}

# ------------------------------------------------------------------------ keys

@test "a mistyped key" {
	balancer_file 'polcy: maglev' >file.yaml
	check
	told 5 polcy '"polcy" is not a key of a service; expected "policy"?'
}

@test "an unknown key" {
	balancer_file 'colour: red' >file.yaml
	check
	told 5 colour 'expected one of name, address,'
}

@test "a key given twice" {
	balancer_file 'name: web' >file.yaml
	check
	told 5 name '"name" is given twice; expected it only once, on line 3'
}

@test "a missing key" {
	balancer_file >file.yaml
	sed -i '/address: 10.1.0.100/d' file.yaml
	check
	told 3 address 'is missing in a service; expected an IP address and a port'
}

@test "a server's key in a balancer's file" {
	{ balancer_file && echo 'report: {max_share: 5%}'; } >file.yaml
	check
	told 8 report "is a key of a server's configuration; expected a balancer's only"
}

@test "a service's backends in a server's file" {
	server_file 'services: [{address: "10.1.0.100:80", backends: []}]' >file.yaml
	check
	told 3 backends "is a key of a balancer's configuration"
}

@test "a list where a text is expected" {
	balancer_file 'policy: [maglev]' >file.yaml
	check
	told 5 policy 'a list is not a text; expected power-of-choices, least-loaded,'
}

@test "no services" {
	server_file 'services: []' >file.yaml
	check
	told 3 services 'a list is empty'
}

# ---------------------------------------------------------------------- values

@test "port 0 is every port of the address" {
	server_file 'services: [{address: "10.1.0.100:0"}]' >file.yaml
	check
	[ "$status" -eq 0 ]
}

@test "a port that is a word" {
	server_file 'services: [{address: "10.1.0.100:http"}]' >file.yaml
	check
	told 3 address '"10.1.0.100:http"'
}

@test "port 65536" {
	server_file 'services: [{address: "10.1.0.100:65536"}]' >file.yaml
	check
	told 3 address '"10.1.0.100:65536" has a port that is not one of 1 to 65535'
}

@test "no port" {
	server_file 'services: [{address: 10.1.0.100}]' >file.yaml
	check
	told 3 address '"10.1.0.100" has no port'
}

@test "an IPv6 service without brackets" {
	server_file 'services: [{address: "2001:db8::1"}]' >file.yaml
	check
	told 3 address 'without brackets'
}

@test "a bad backend address" {
	balancer_file '' 10.1.0.300 >file.yaml
	check
	told 7 address '"10.1.0.300" is not an IP address'
}

@test "a multicast backend" {
	balancer_file '' 224.0.0.5 >file.yaml
	check
	told 7 address '"224.0.0.5" is a multicast address'
}

@test "a backend that is the virtual address" {
	balancer_file '' 10.1.0.100 >file.yaml
	check
	told 7 address '"10.1.0.100" is the virtual address of service "web"'
}

@test "a backend twice" {
	{ balancer_file && echo '      - {address: 10.1.0.3}'; } >file.yaml
	check
	told 8 address '"10.1.0.3" is a backend of the service on line 7 already'
}

@test "two services of one address" {
	{ balancer_file && balancer_file | sed -n '3,$p' | sed 's/: web/: other/'; } >file.yaml
	check
	told 9 address '"10.1.0.100:80" is the address of the service on line 3 already'
}

@test "weight 0" {
	balancer_file '' '10.1.0.3, weight: 0' >file.yaml
	check
	told 7 weight '"0" is too small; expected a whole number from 1 to 1000'
}

@test "weight 1.5" {
	balancer_file '' '10.1.0.3, weight: 1.5' >file.yaml
	check
	told 7 weight '"1.5" is not a whole number'
}

@test "an unknown way of forwarding" {
	balancer_file '' '10.1.0.3, forward: gre' >file.yaml
	check
	told 7 forward '"gre"'
}

@test "an unknown policy" {
	balancer_file 'policy: fastest' >file.yaml
	check
	told 5 policy '"fastest" is not known; expected power-of-choices, least-loaded,'
}

@test "an unknown way of feedback" {
	balancer_file 'feedback: gossip' >file.yaml
	check
	told 5 feedback '"gossip" is not known; expected in-band, poll or none'
}

@test "too many choices" {
	balancer_file 'choices: 99' >file.yaml
	check
	told 5 choices '"99" is too large; expected a whole number from 1 to 8'
}

@test "a ring that is no prime" {
	balancer_file 'ring_size: 16384' >file.yaml
	check
	told 5 ring_size '"16384" is not a prime'
}

@test "a duration without its unit" {
	balancer_file 'stale_after: 1000' >file.yaml
	check
	told 5 stale_after '"1000" has no unit; expected a duration with its unit'
}

@test "too large a share" {
	{ server_file && echo 'report: {max_share: 50%}'; } >file.yaml
	check
	told 4 max_share '"50%" is too large; expected a percentage above 0% and up to 10%'
}

@test "a min_interval above the max_interval" {
	{ server_file && echo 'report: {min_interval: 2s, max_interval: 1s}'; } >file.yaml
	check
	told 4 min_interval 'is longer than the max_interval'
}

@test "a flow table without room for anything" {
	{ balancer_file && echo 'flow_table: {entries: 10}'; } >file.yaml
	check
	told 8 entries '"10" is too small'
}

@test "too long an interface name" {
	balancer_file | sed 's/eth0/aninterfacetoolong/' >file.yaml
	check
	told 1 interfaces '"aninterfacetoolong" is longer than the 15 characters'
}

@test "a key file that others may read" {
	echo 000102030405060708090a0b0c0d0e0f >report.key
	chmod 644 report.key
	{ balancer_file && echo "report_key: $PWD/report.key"; } >file.yaml
	check
	told 8 report_key 'may be read or written by others than its owner'
	chmod 600 report.key
	check
	[ "$status" -eq 0 ]
}

@test "a key file that is too short" {
	echo 0001 >report.key
	chmod 600 report.key
	{ balancer_file && echo "report_key: $PWD/report.key"; } >file.yaml
	check
	told 8 report_key 'does not hold exactly 32 hex digits'
}

@test "all mistakes are told at once" {
	{ balancer_file 'policy: fastest' '10.1.0.3, weight: 0' && echo 'listen: here'; } >file.yaml
	check
	told 5 policy '"fastest"'
	told 7 weight '"0"'
	told 8 listen '"here"'
	[ "${#lines[@]}" -eq 3 ]
}

# ----------------------------------------------------------------- the daemons

# What a daemon that went beyond its configuration would leave.
host_state() {
	ip link show
	ip -brief address show
	ls -A /run/plimsoll 2>/dev/null || true
}

# The daemon refuses file.yaml with the very lines of check-config, and changes nothing.
daemon_refuses() { # ROLE
	local before expected

	before=$(host_state)
	run "$plimsoll" check-config file.yaml
	expected=$output
	[ "$status" -eq 1 ]
	run timeout 10 "$plimsoll" "$1" --config file.yaml --instance config-test
	[ "$status" -ne 0 ]
	[ "$status" -ne 124 ]
	grep -qxF -- "${expected%%$'\n'*}" <<<"$output" || {
		echo "expected: $expected"
		echo "told: $output"
		return 1
	}
	[ "$(host_state)" = "$before" ]
}

@test "the balancer refuses a wrong weight" {
	balancer_file '' '10.1.0.3, weight: -1' >file.yaml
	daemon_refuses balancer
}

@test "the balancer refuses a mistyped key" {
	balancer_file 'chioces: 2' >file.yaml
	daemon_refuses balancer
}

@test "the balancer refuses broken YAML" {
	echo 'services: [' >file.yaml
	daemon_refuses balancer
}

@test "the server refuses a wrong share" {
	{ server_file && echo 'report: {max_share: 11%}'; } >file.yaml
	daemon_refuses server
}

@test "the balancer refuses a server's file" {
	server_file >file.yaml
	run timeout 10 "$plimsoll" balancer --config file.yaml --instance config-test
	[ "$status" -ne 0 ]
	[ "$status" -ne 124 ]
	[[ $output == *"file.yaml:2: balancers: \"balancers\" makes this a server's configuration; expected a balancer's"* ]]
}

@test "the server refuses a balancer's file" {
	balancer_file >file.yaml
	run timeout 10 "$plimsoll" server --config file.yaml --instance config-test
	[ "$status" -ne 0 ]
	[ "$status" -ne 124 ]
	[[ $output == *"makes this a balancer's configuration; expected a server's"* ]]
}

# ------------------------------------------------------------------- what is typed wrongly

@test "a file without its option, help as a verb" {
	run -2 "$plimsoll" balancer file.yaml
	[[ $output == *'unexpected "file.yaml"; did you mean "--config file.yaml"?'* ]]
	run -2 "$plimsoll" reload file.yaml
	[[ $output == *'unexpected "file.yaml"; see "plimsoll reload --help"'* ]]
	run -0 "$plimsoll" help
	[[ $output == *'usage: plimsoll VERB'* ]]
	run -0 "$plimsoll" help drain
	[[ $output == 'usage: plimsoll drain SERVICE BACKEND'* ]]
}
