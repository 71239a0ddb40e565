/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the page knows: the latest status, and what follows from it and the ones before: rates,
 * how deep each server lies, the last minutes. It does not draw, and what to think of it health.js says.
 *
 * How deep: `burden` is 1 where a server carries its fair part. It is the greater of two ratios, each
 * to the mean of the service's other servers: load by weight, as the policy compares it, and latency.
 * Balancing makes the first alike where it can, so a server that became slow shows in the second.
 */
import {findSummary, staying} from './health.js';
import {History} from './history.js';

const FAST_MS = 400; /* what is drawn: calm, and yet a change is seen within a second */
const SLOW_MS = 3000; /* what is judged */
const ONE_REQUEST = 1; /* so that one request more or less where there are few is no burden */
const NO_TIME_US = 500; /* likewise of latency */
const SERIES = ['share', 'in_flight', 'latency_us', 'connections_per_second', 'reports_per_second'];

class Smooth {
	constructor() {
		this.value = null;
	}

	add(value, passed_ms, over_ms) {
		if (value === null || value === undefined)
			this.value = null;
		else if (this.value === null)
			this.value = value;
		else
			this.value += (value - this.value) * (1 - Math.exp(-passed_ms / over_ms));
	}
}

class Backend {
	constructor() {
		this.load = new Smooth();
		this.in_flight = new Smooth();
		this.latency_us = new Smooth();
		this.judged = new Smooth();
		this.reports_per_second = null;
		this.burden = null;
		this.silent_since = null; /* it gets connections, and does not report */
		this.history = new History(SERIES);
	}

	update(now, raw, signal, passed_ms) {
		const before = this.raw;

		this.raw = raw;
		this.address = raw.address;
		this.load.add(raw.known ? loadOf(raw, signal) : null, passed_ms, FAST_MS);
		this.in_flight.add(raw.in_flight, passed_ms, FAST_MS);
		this.latency_us.add(raw.known ? raw.latency_us : null, passed_ms, FAST_MS);
		this.reports_per_second = before && raw.reports >= before.reports && passed_ms > 0 ?
			1000 * (raw.reports - before.reports) / passed_ms : null;
		if (raw.known || raw.connections_per_second === 0)
			this.silent_since = null;
		else
			this.silent_since ??= now;
		this.history.add(Math.floor(now / 1000), {
			share: raw.share,
			in_flight: raw.known ? raw.in_flight : null,
			latency_us: raw.known ? raw.latency_us : null,
			connections_per_second: raw.connections_per_second,
			reports_per_second: this.reports_per_second,
		});
	}
}

/* What the policy goes by. A weight counts only where the load is a number of requests. */
function loadOf(raw, signal) {
	switch (signal) {
	case 'in-flight':
		return (raw.in_flight + raw.pending + ONE_REQUEST) / (raw.weight_in_force || raw.weight || 1);
	case 'latency':
		return raw.latency_us + NO_TIME_US;
	case 'accept-queue':
		return raw.accept_queue + 0.05;
	case 'worst':
		return Math.max(raw.utilisation, raw.accept_queue) + 0.05;
	default:
		return raw.utilisation + 0.05;
	}
}

class Mean {
	constructor(list, of, weight) {
		Object.assign(this, {of, weight});
		this.list = new Set(list);
		this.weights = sum(list, weight);
		this.total = sum(list, (item) => of(item) * weight(item));
		this.value = this.weights ? this.total / this.weights : 0;
	}

	/* Of one to the mean of the others; 1 if there are none. slack: what is too little to matter. */
	ratio(one, slack) {
		const own = this.list.has(one) ? this.weight(one) : 0;
		const weights = this.weights - own;

		if (weights < 1e-6)
			return 1;
		return (this.of(one) + slack) / ((this.total - this.of(one) * own) / weights + slack || 1);
	}
}

class Service {
	constructor() {
		this.backends = [];
		this.byAddress = new Map();
	}

	update(now, raw, passed_ms) {
		this.raw = raw;
		this.backends = raw.backends.map((backend) => {
			let known = this.byAddress.get(backend.address);

			if (!known)
				this.byAddress.set(backend.address, known = new Backend());
			known.update(now, backend, raw.signal, passed_ms);
			return known;
		});
		if (this.byAddress.size > this.backends.length)
			this.byAddress = new Map(this.backends.map((backend) => [backend.address, backend]));
		this.weigh(passed_ms);
		this.add();
	}

	weigh(passed_ms) {
		/* Who drains has ever less: the others are not deep by that. */
		const known = this.backends.filter(({raw}) => raw.known && raw.state !== 'draining');
		const load = new Mean(known, (backend) => backend.load.value, () => 1);
		const latency = new Mean(known, (backend) => backend.latency_us.value,
			(backend) => backend.raw.connections_per_second + 0.01);

		this.latency_us = latency.value;
		for (const backend of this.backends) {
			backend.burden = backend.raw.known ? Math.max(load.ratio(backend, 0), latency.ratio(backend, NO_TIME_US)) : null;
			backend.judged.add(backend.burden, passed_ms, SLOW_MS);
		}
	}

	add() {
		this.in_flight = sum(this.backends, (backend) => backend.raw.known ? backend.raw.in_flight : 0);
		this.pending = sum(this.backends, (backend) => backend.raw.pending);
		this.reports_per_second = sum(this.backends, (backend) => backend.reports_per_second ?? 0);
		this.reports = sum(this.backends, (backend) => backend.raw.reports);
		this.known = this.backends.filter((backend) => backend.raw.known).length;
	}
}

export class Model {
	constructor() {
		this.raw = null;
		this.summary = null; /* of all services, where only one is told in full */
		this.services = [];
		this.byName = new Map();
		this.events = [];
		this.counter_rates = {};
		this.restarted_at = null;
	}

	/* now: in milliseconds, of a clock that only goes forward. */
	update(status, now) {
		const passed_ms = this.raw ? Math.max(0, 1000 * (status.uptime_seconds - this.raw.uptime_seconds)) : 0;

		if (this.raw && status.uptime_seconds < this.raw.uptime_seconds)
			this.restarted_at = now;
		this.countRates(status, passed_ms);
		this.raw = status;
		this.at = now;
		this.services = status.services.map((raw) => {
			const name = `${raw.name} ${raw.address} ${raw.protocol}`;

			if (!this.byName.has(name))
				this.byName.set(name, new Service());
			this.byName.get(name).update(now, raw, passed_ms);
			return this.byName.get(name);
		});
	}

	countRates(status, passed_ms) {
		for (const [name, value] of Object.entries(status.counters)) {
			const before = this.raw?.counters[name];
			const rate = (this.counter_rates[name] ??= new Smooth());

			if (before !== undefined && value >= before && passed_ms > 0)
				rate.add(1000 * (value - before) / passed_ms, passed_ms, SLOW_MS);
			else
				rate.add(0, 0, SLOW_MS);
		}
	}

	/* Of all services, in a few numbers each; null: all of them are in the status. */
	summarise(summary) {
		this.summary = summary;
		for (const service of summary?.services ?? [])
			service.finding = findSummary(service);
	}

	/* Those of which only the summary is known. */
	others() {
		const told = new Set(this.services.map(({raw}) => raw.name));

		return this.summary ? this.summary.services.filter(({name}) => !told.has(name)) : [];
	}

	/* Of all services: how many, their servers, the servers' places in them, and what they do. */
	totals() {
		if (this.summary)
			return {
				services: this.summary.services.length,
				servers: this.summary.servers,
				places: sum(this.summary.services, ({backends}) => backends),
				connections_per_second: sum(this.summary.services, (one) => one.connections_per_second),
				in_flight: sum(this.summary.services, (one) => one.in_flight),
			};
		const stay = this.services.flatMap(({backends}) => staying(backends));

		return {
			services: this.services.length,
			servers: new Set(stay.map(({address}) => address)).size,
			places: stay.length,
			connections_per_second: sum(this.services, ({raw}) => raw.connections_per_second),
			in_flight: sum(this.services, (service) => service.in_flight),
		};
	}
}

export function sum(list, of) {
	return list.reduce((total, item) => total + of(item), 0);
}
