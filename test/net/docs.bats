#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What the documents say of this repository is true of it: links, targets, verbs, files, pages.

bats_require_minimum_version 1.5.0

setup_file() {
	cd "$BATS_TEST_DIRNAME/../.." || return
	export PLIMSOLL=${PLIMSOLL:-$PWD/build/plimsoll}
	doc/man/build "$PLIMSOLL" "$BATS_FILE_TMPDIR/man"
}

setup() {
	cd "$BATS_TEST_DIRNAME/../.." || return
	documents=(*.md doc/*.md)
}

# none WHAT: fails if standard input has a line, and says which.
none() {
	local lines

	lines=$(cat)
	[ -z "$lines" ] || { printf '%s:\n%s\n' "$1" "$lines"; return 1; }
}

# Text that is a command or a name: between backquotes, or in an indented block.
code() {
	# shellcheck disable=SC2016 # backquotes of the documents'
	grep -ohE '`[^`]+`|^    .*' "${documents[@]}" | tr -d '`'
}

# As GitHub makes them out of headings.
anchors() { # FILE
	sed -nE 's/^#+ +//p' "$1" | tr '[:upper:]' '[:lower:]' | sed -E 's/[^a-z0-9 _-]//g; s/ /-/g'
}

@test "links lead somewhere, and pictures are there" {
	local document target file

	for document in "${documents[@]}"; do
		grep -oE '\]\([^)]+\)' "$document" | tr -d '()' | cut -c 2- | grep -v '^[a-z]*:' |
			while read -r target; do
				file=$(dirname "$document")/${target%%#*}
				[ "${target#\#}" = "$target" ] || file=$document
				[ -e "$file" ] || { echo "$document: $target"; continue; }
				[[ $target != *'#'* ]] || anchors "$file" | grep -qxF -- "${target#*#}" ||
					echo "$document: $target"
			done
	done | none 'links to nowhere'
}

@test "every target of make that is named is there" {
	code | grep -oE '(^|[ |])make( -[a-z]+[0-9]*| [A-Z_]+=[^ ]+)* [a-z][a-z-]+' | awk '{ print $NF }' | sort -u |
		while read -r target; do
			grep -qE "^$target:" Makefile || echo "make $target"
		done | none 'no such target'
}

# A shell between make and test/run would take a signal for itself, and the tests would go on without them.
@test "whoever ends make ends the tests" {
	sed -z 's/\\\n//g' Makefile | grep -P '^\t.*test/run' |
		grep -vP '^\t@(test/run( [a-z]+)?|exec env .* test/run [^;&|]+)$' | none 'a shell is in between'
}

@test "every verb that is named is there" {
	local verbs

	verbs=$("$PLIMSOLL" --help | sed -nE 's/^  ([a-z-]+) .*/\1/p')
	code | grep -oE '^ *plimsoll [a-z][a-z-]+' | awk '{ print $2 }' | sort -u | grep -vxF "$verbs" |
		none 'no such verb of plimsoll'
	verbs=$(lab/lab help | sed -nE 's/^  ([a-z-]+) .*/\1/p')
	code | grep -oE '^ *(plimsoll-lab|lab/lab) [a-z-]+' | awk '{ print $2 }' | sort -u | grep -vxF "$verbs" |
		none 'no such verb of the lab'
}

@test "every file of the repository that is named is there" {
	code | grep -oE '(^|[ (])(bpf|src|wire|lab|test|doc|packaging|bench)/[A-Za-z0-9_./*-]+' | tr -d ' (' | sort -u |
		while read -r file; do
			compgen -G "${file%.}" >/dev/null || echo "$file"
		done | none 'no such file'
}

@test "every alert has its heading, and every heading its alert" {
	diff <(sed -n 's/.*alert: //p' packaging/prometheus/plimsoll.rules.yaml | sort) \
		<(sed -n 's/^## //p' doc/alarms.md | sort)
}

@test "the manual has a page for every verb, and mandoc finds nothing" {
	local verb page

	cd "$BATS_FILE_TMPDIR/man"
	for verb in $("$PLIMSOLL" --help | sed -nE 's/^  ([a-z-]+) .*/\1/p'); do
		[ -s "man8/plimsoll-$verb.8" ] || echo "$verb"
	done | none 'no page for'
	# Whether a page that is referred to is there it would look up among those that are installed.
	mandoc -T lint man?/* | grep -v 'referenced manual not found' | none 'mandoc says'
	grep -ohE '^\.Xr [^ ]+ [58]' man?/* | sort -u | while read -r _ page section; do
		[ -s "man$section/$page.$section" ] || echo "$page($section)"
	done | none 'references to no page'
}

@test "the manual tells every option and every key" {
	local verb option role key

	cd "$BATS_FILE_TMPDIR/man"
	for verb in $("$PLIMSOLL" --help | sed -nE 's/^  ([a-z-]+) .*/\1/p'); do
		for option in $("$PLIMSOLL" "$verb" --help | sed -nE 's/^  (--[a-z-]+)[[ ].*/\1/p'); do
			mandoc -T ascii "man8/plimsoll-$verb.8" | sed 's/.\x08//g' | grep -qE "^ +$option" || echo "$verb $option"
		done
	done | none 'options without a word'
	for role in balancer server; do
		for key in $("$PLIMSOLL" check-config --explain "$role" | sed -nE 's/^ *([a-z_]+): .*/\1/p' | sort -u); do
			mandoc -T ascii "man5/plimsoll-$role.yaml.5" | sed 's/.\x08//g' | grep -qE "^ +$key:" || echo "$role: $key"
		done
	done | none 'keys without a word'
}

# What each verb has to be given stands here; a verb that is missing here fails.
@test "every verb that knows --json tells its errors in it" {
	local verb arguments said

	for verb in $("$PLIMSOLL" --help | sed -nE 's/^  ([a-z-]+) .*/\1/p'); do
		"$PLIMSOLL" "$verb" --help | grep -q -- ' --json ' || continue
		case $verb in
		check-config) arguments=/nonexistent ;;
		add | remove | drain | undrain) arguments='web 10.1.0.3 --instance nobody' ;;
		weight) arguments='web 10.1.0.3 2 --instance nobody' ;;
		load) arguments='web 0.5 --instance nobody' ;;
		where) arguments='10.1.0.9:1 web --instance nobody' ;;
		*) arguments='--instance nobody' ;;
		esac
		# shellcheck disable=SC2086 # words
		said=$("$PLIMSOLL" "$verb" $arguments --json 2>/dev/null) && echo "$verb succeeds"
		[ -n "$(jq -r '.error // empty' <<<"$said")" ] || echo "$verb: $said"
	done | none 'not told in JSON'
}

@test "what is published of a step response suffices for its plot" {
	PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=bench python3 - <<-'END'
		from measure import plots

		steps = [{'contender': name, 'steps': count, 'settle_ms': 8.0, 'series': {
		    'first_ms': -200, 'own': [i % 7 for i in range(length)], 'all': [i % 9 + 7 for i in range(length)]}}
		    for name, count, length in (('inband', 32, 450), ('poll-1s', 3, 3200), ('same-poll-10ms', 32, 450))]
		published = [plots.published_step(step) for step in steps]
		assert plots.step_script(published) == plots.step_script(steps) is not None
		assert len(published[1]['series']['own']) < 800
		assert 'series' not in published[2]
	END
}
