-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
-- A new connection for every request, and the result as one line of JSON, the last of the output.

wrk.headers["Connection"] = "close"

function done(summary, latency)
	local errors = summary.errors
	local milliseconds = function(percent)
		return latency:percentile(percent) / 1000
	end

	io.write(string.format(
		'{"requests": %d, "seconds": %.3f, "requests_per_second": %.1f, "bytes": %d, ' ..
		'"p50_ms": %.3f, "p90_ms": %.3f, "p99_ms": %.3f, "p999_ms": %.3f, "max_ms": %.3f, ' ..
		'"errors": %d}\n',
		summary.requests, summary.duration / 1e6, summary.requests / summary.duration * 1e6,
		summary.bytes, milliseconds(50), milliseconds(90), milliseconds(99), milliseconds(99.9),
		latency.max / 1000,
		errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
