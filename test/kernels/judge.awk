# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# One line of TAP for what a test program has said in TAP; below it, if it failed, the end of what it
# said. One that says no TAP is judged by its exit status alone.
/^1\.\.[0-9]/ { planned += substr($1, 4) + 0; speaks = 1 }
tolower($0) ~ /^(not )?ok [0-9]+.*# skip/ { skipped++; next }
/^ok [0-9]/ { passed++; next }
/^not ok [0-9]/ { failed++ }
{ said[++lines] = $0 }

END {
	good = status == 0 && !failed && (!speaks || passed + skipped == planned)
	printf "%sok %d - %s: ", good ? "" : "not ", number, name
	if (speaks)
		printf "%d of %d passed%s, ", passed, planned, skipped ? ", " skipped " skipped" : ""
	if (status)
		printf "exit status %d, ", status
	printf "%d s\n", seconds
	for (i = lines > 40 ? lines - 40 : 1; i <= lines; i++)
		if (!good || !speaks)
			print "# " said[i]
}
