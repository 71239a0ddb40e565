# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# Completion for bash. What there is to offer plimsoll itself tells, from its tables and its daemons.

# By spaces alone: bash's own words end at ':' and '=', too, of which addresses and options have some.
_plimsoll() {
	local line word words typed candidate

	line=${COMP_LINE:0:COMP_POINT}
	read -ra words <<<"$line"
	[[ $line != *[[:space:]] ]] || words+=('')
	word=${words[-1]}
	typed=${word%"${word##*[:=]}"}
	COMPREPLY=()
	while IFS= read -r candidate; do
		if [[ $candidate == $'\tfiles' ]]; then
			compopt -o filenames
			mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "${word##*=}")
		else
			candidate=${candidate%%$'\t'*}
			COMPREPLY+=("${candidate#"$typed"}")
		fi
	done < <("${words[0]}" complete -- "${words[@]:1}" 2>/dev/null)
}

complete -F _plimsoll plimsoll
