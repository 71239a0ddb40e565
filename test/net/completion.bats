#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Completion as bash and zsh do it, with verbs and options from the tables and names from daemons.

load helpers

setup_file() {
	open_lab clients=0 servers=2
	lab config
	lab start all
}

in_one_line() {
	LC_ALL=C sort | paste -sd ' '
}

# As readline does: the line is cut into words at spaces and at the characters that bash breaks at.
bash_offers() { # LINE
	COMP_LINE=$1 COMP_POINT=${#1} PATH=$BATS_TEST_TMPDIR:$PATH bash -c '
		compopt() { :; }
		. "$0"
		_plimsoll
		printf "%s\n" "${COMPREPLY[@]}"' "$ROOT/packaging/completion/plimsoll.bash" | in_one_line
}

setup() {
	[ "$(id -u)" -eq 0 ] || skip 'the daemons are root'\''s to run'
	ln -s "$PLIMSOLL" "$BATS_TEST_TMPDIR/plimsoll"
	cd "$BATS_TEST_TMPDIR" || return
}

@test "verbs, all of --help and no other" {
	expect "$(bash_offers 'plimsoll ')" = \
		"$("$PLIMSOLL" --help | sed -nE 's/^  ([a-z-]+) .*/\1/p' | in_one_line)"
	expect "$(bash_offers 'plimsoll sh')" = show
	expect "$(bash_offers 'plimsoll --v')" = --version
	expect "$(bash_offers 'plimsoll nothing ')" = ''
}

@test "the options of each verb, all of its --help and none twice" {
	local verb options

	for verb in $(bash_offers 'plimsoll '); do
		options=$("$PLIMSOLL" "$verb" --help | sed -nE 's/^  (--[a-z-]+)[[ ].*/\1/p'; echo --help)
		expect "$(bash_offers "plimsoll $verb --")" = "$(in_one_line <<<"$options")"
	done
	expect "$(bash_offers 'plimsoll show --json --')" = '--config --help --instance'
	expect "$(bash_offers 'plimsoll load web 0.5 ')" = '--for --help --instance --json'
}

@test "instances" {
	local all=$LAB-b1\ $LAB-s1\ $LAB-s2

	expect "$(bash_offers "plimsoll show --instance $LAB-")" = "$all"
	expect "$(bash_offers "plimsoll show --instance=$LAB-")" = "$all"
	expect "$(bash_offers "plimsoll show --instance $LAB-s")" = "$LAB-s1 $LAB-s2"
}

@test "services of the instance that is named, by name or address" {
	expect "$(bash_offers "plimsoll load --instance $LAB-b1 ")" = web
	expect "$(bash_offers "plimsoll load --instance $LAB-s1 ")" = "$LAB_VIP:80"
	# What bash takes for the word ends at the colon.
	expect "$(bash_offers "plimsoll load --instance $LAB-s1 $LAB_VIP:8")" = 80
	expect "$(bash_offers "plimsoll load --instance none ")" = ''
	expect "$(bash_offers "plimsoll drain --instance $LAB-b1 ")" = web
	expect "$(bash_offers "plimsoll drain --instance $LAB-b1 web ")" = "$(address s1) $(address s2)"
	expect "$(bash_offers "plimsoll weight --instance $LAB-b1 web $(address s1) ")" = ''
}

@test "names of files" {
	mkdir "with space"
	touch one.yaml 'with space/two.yaml'
	expect "$(bash_offers 'plimsoll balancer --config one')" = one.yaml
	expect "$(bash_offers 'plimsoll balancer --config=one')" = one.yaml
	expect "$(bash_offers 'plimsoll check-config b')" = balancer
}

@test "bash takes the script, and zsh offers the same" {
	local offered

	bash -n "$ROOT/packaging/completion/plimsoll.bash"
	command -v zsh >/dev/null || skip 'no zsh here'
	# What _describe is given, which is what zsh shows.
	offered=$(PATH=$BATS_TEST_TMPDIR:$PATH zsh -fc '
		_describe() { print -rl -- ${(P)2} }
		_files() { print files }
		complete_words() { . '"$ROOT"'/packaging/completion/_plimsoll; }
		words=(plimsoll load --instance '"$LAB"'-s1 "") CURRENT=5
		complete_words
		words=(plimsoll sh) CURRENT=2
		complete_words
		words=(plimsoll check-config "") CURRENT=3
		complete_words')
	run -0 echo "$offered"
	says "$LAB_VIP\\:80:"
	says 'show:show services'
	says files
}
