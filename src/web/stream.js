/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
import {sum} from './model.js';

/*
 * The way to the daemon. It asks for the status once, then listens to the stream; when that breaks,
 * or falls silent, it begins again, for ever. Where there are too many services it asks for all of just one,
 * and now and then for a summary. Told: onStatus(status), onSummary(summary or null), onEvents(list),
 * onLink('live' or 'lost'). Asked: choose(summary), for the name of that one.
 */

const RETRY_MS = 1000;
const SILENCE_MS = 3000;
/* Few servers are shown in motion, many are too much to look at four times a second. */
const FEW_BACKENDS = 64;
const INTERVAL_FEW_MS = 250;
const INTERVAL_MANY_MS = 500;
const MANY_SERVICES = 24;
const MANY_PLACES = 1000; /* of servers in services */
const SUMMARY_MS = 2000;

export class Stream {
	constructor(handlers) {
		this.handlers = handlers;
		this.source = null;
		this.timer = this.summary_timer = 0;
	}

	async open() {
		try {
			const summary = await this.fetch('api/v1/summary');
			const many = isMany(summary.services.map(({backends}) => backends));

			this.handlers.onSummary(many ? summary : null);
			this.query = many ? `service=${encodeURIComponent(this.handlers.choose(summary))}` : '';

			const status = await this.fetch(`api/v1/status?${this.query}`);
			const events = await this.fetch('api/v1/events').catch(() => []);

			this.many = many;
			this.heard(status);
			this.handlers.onEvents(Array.isArray(events) ? events : events.events ?? []);
			this.listen(interval(status));
			if (many)
				this.summarise();
		} catch {
			this.lose();
		}
	}

	/* Another one is chosen, or there are many where there were few. */
	again() {
		this.close();
		this.open();
	}

	async fetch(path) {
		const answer = await fetch(path, {cache: 'no-store', signal: AbortSignal.timeout(SILENCE_MS)});

		if (!answer.ok)
			throw new Error(`${path}: ${answer.status}`);
		return answer.json();
	}

	summarise() {
		clearTimeout(this.summary_timer);
		this.summary_timer = setTimeout(async () => {
			const {source} = this;
			const summary = await this.fetch('api/v1/summary').catch(() => null);

			if (source !== this.source)
				return;
			if (summary && (!isMany(summary.services.map(({backends}) => backends)) || !this.isShown(summary)))
				return this.again();
			if (summary)
				this.handlers.onSummary(summary);
			this.summarise();
		}, SUMMARY_MS);
	}

	isShown(summary) {
		return this.query === `service=${encodeURIComponent(this.handlers.choose(summary))}`;
	}

	listen(interval_ms) {
		this.source = new EventSource(`api/v1/stream?interval_ms=${interval_ms}&${this.query}`);
		this.source.addEventListener('status', (event) => this.heard(JSON.parse(event.data)));
		this.source.addEventListener('event', (event) => this.handlers.onEvents([JSON.parse(event.data)]));
		this.source.onerror = () => this.lose();
	}

	heard(status) {
		if (!this.many && isMany(status.services.map(({backends}) => backends.length)))
			return this.again();
		this.expect(() => this.lose(), SILENCE_MS);
		this.handlers.onLink('live');
		this.handlers.onStatus(status);
	}

	close() {
		clearTimeout(this.timer);
		clearTimeout(this.summary_timer);
		this.source?.close();
		this.source = null;
	}

	lose() {
		this.close();
		this.handlers.onLink('lost');
		this.expect(() => this.open(), RETRY_MS);
	}

	expect(what, after_ms) {
		clearTimeout(this.timer);
		this.timer = setTimeout(what, after_ms);
	}
}

/* counts: of servers, of each service. */
function isMany(counts) {
	return counts.length > MANY_SERVICES || (counts.length > 1 && sum(counts, (count) => count) > MANY_PLACES);
}

function interval(status) {
	return sum(status.services, ({backends}) => backends.length) <= FEW_BACKENDS ? INTERVAL_FEW_MS : INTERVAL_MANY_MS;
}
