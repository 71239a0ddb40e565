/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The way to the daemon. It asks for the status once, then listens to the stream; when that breaks,
 * or falls silent, it begins again, for ever. Told: onStatus(status), onEvents(list),
 * onLink('live' or 'lost').
 */

const RETRY_MS = 1000;
const SILENCE_MS = 3000;
/* Few servers are shown in motion, many are too much to look at four times a second. */
const FEW_BACKENDS = 64;
const INTERVAL_FEW_MS = 250;
const INTERVAL_MANY_MS = 500;

export class Stream {
	constructor(handlers) {
		this.handlers = handlers;
		this.source = null;
		this.timer = 0;
	}

	async open() {
		try {
			const status = await this.fetch('api/v1/status');
			const events = await this.fetch('api/v1/events').catch(() => []);

			this.heard(status);
			this.handlers.onEvents(Array.isArray(events) ? events : events.events ?? []);
			this.listen(interval(status));
		} catch {
			this.lose();
		}
	}

	async fetch(path) {
		const answer = await fetch(path, {cache: 'no-store', signal: AbortSignal.timeout(SILENCE_MS)});

		if (!answer.ok)
			throw new Error(`${path}: ${answer.status}`);
		return answer.json();
	}

	listen(interval_ms) {
		this.source = new EventSource(`api/v1/stream?interval_ms=${interval_ms}`);
		this.source.addEventListener('status', (event) => this.heard(JSON.parse(event.data)));
		this.source.addEventListener('event', (event) => this.handlers.onEvents([JSON.parse(event.data)]));
		this.source.onerror = () => this.lose();
	}

	heard(status) {
		this.expect(() => this.lose(), SILENCE_MS);
		this.handlers.onLink('live');
		this.handlers.onStatus(status);
	}

	lose() {
		this.source?.close();
		this.source = null;
		this.handlers.onLink('lost');
		this.expect(() => this.open(), RETRY_MS);
	}

	expect(what, after_ms) {
		clearTimeout(this.timer);
		this.timer = setTimeout(what, after_ms);
	}
}

function interval(status) {
	const backends = status.services.reduce((sum, service) => sum + service.backends.length, 0);

	return backends <= FEW_BACKENDS ? INTERVAL_FEW_MS : INTERVAL_MANY_MS;
}
