/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The servers of a service in numbers. Of many, the twenty that matter most, or all, or those searched for. */
import {element, setChildren, setData, setText} from './dom.js';
import {count, microseconds, milliseconds, percent, plural, rate, weight} from './format.js';
import {changesOf, compareUrgency} from './health.js';

const MOST = 20;
const RESORT_MS = 5000;

/* key: what it is in the status; of: what it is sorted by, if not that. */
const COLUMNS = [
	{key: 'address', title: 'Server', show: ({raw}) => raw.address},
	{key: 'state', title: 'State', show: showState, of: (backend) => backend.finding.one},
	{key: 'weight_in_force', title: 'Weight', show: ({raw}) => showWeight(raw), number: true},
	{key: 'share', title: 'Share', show: ({raw}) => percent(raw.share), number: true},
	{key: 'connections_per_second', title: 'New connections', show: ({raw}) => rate(raw.connections_per_second), number: true},
	{key: 'in_flight', title: 'In flight', show: ({raw}) => count(raw.in_flight), number: true, reported: true},
	{key: 'pending', title: 'Pending', show: ({raw}) => count(raw.pending), number: true},
	{key: 'latency_us', title: 'Latency', show: ({raw}) => microseconds(raw.latency_us), number: true, reported: true},
	{key: 'utilisation', title: 'CPU', show: ({raw}) => percent(raw.utilisation), number: true, reported: true},
	{key: 'accept_queue', title: 'Accept queue', show: ({raw}) => percent(raw.accept_queue), number: true, reported: true},
	{key: 'report_age_ms', title: 'Report age', number: true,
		show: ({raw}) => raw.report_age_ms === null ? 'never' : milliseconds(raw.report_age_ms)},
	{key: 'reports_per_second', title: 'Reports', show: (backend) => rate(backend.reports_per_second), number: true,
		of: (backend) => backend.reports_per_second},
	{key: 'connections', title: 'Connections', show: ({raw}) => count(raw.connections), number: true},
];

function showState({finding, raw}) {
	if (!raw.changed.length)
		return finding.one;
	return raw.state === 'draining' ? `${finding.one}, by hand` :
		`${finding.one} · by hand: ${changesOf(raw)}`;
}

/* As configured, where `weights: auto` has not moved it. */
function showWeight(raw) {
	const configured = weight(raw.weight);
	const in_force = raw.weight_in_force === undefined ? configured : weight(raw.weight_in_force);

	return in_force === configured ? configured : `${in_force} (set ${configured})`;
}

function valueOf(column, backend) {
	return column.of ? column.of(backend) : backend.raw[column.key];
}

function compareBy(column, direction) {
	return (a, b) => {
		const one = valueOf(column, a) ?? -Infinity, other = valueOf(column, b) ?? -Infinity;

		if (typeof one === 'string')
			return direction * one.localeCompare(other, 'en', {numeric: true});
		return direction * (one - other);
	};
}

export class ServerTable {
	constructor(section) {
		this.table = section.querySelector('table');
		this.body = section.querySelector('tbody');
		this.tools = section.querySelector('.tools');
		this.search = section.querySelector('input');
		this.button = section.querySelector('button');
		this.shown = section.querySelector('.shown');
		this.all = false;
		this.sorted_at = -Infinity;
		this.seen = new Set();
		this.watcher = new IntersectionObserver((entries) => this.see(entries), {rootMargin: '200px'});
		this.head(section.querySelector('thead tr'));
		this.search.addEventListener('input', () => this.again());
		this.button.addEventListener('click', () => {
			this.all = !this.all;
			this.again();
		});
	}

	head(row) {
		for (const column of COLUMNS) {
			const cell = element('th', column.number ? 'number' : '');
			const button = element('button', '', column.title);

			cell.scope = 'col';
			button.type = 'button';
			button.addEventListener('click', () => this.sortBy(column, cell));
			cell.append(button);
			row.append(cell);
		}
	}

	/* Numbers from the greatest; again: the other way round; a third time: what matters comes first again. */
	sortBy(column, cell) {
		const first = column.number ? -1 : 1;

		if (this.column !== column)
			[this.column, this.direction] = [column, first];
		else if (this.direction === first)
			this.direction = -first;
		else
			this.column = null;
		for (const other of cell.parentNode.children)
			other.removeAttribute('aria-sort');
		if (this.column)
			cell.setAttribute('aria-sort', this.direction > 0 ? 'ascending' : 'descending');
		this.again();
	}

	again() {
		this.sorted_at = -Infinity;
		if (this.backends)
			this.update(this.backends, performance.now());
	}

	update(backends, now) {
		const many = backends.length > MOST;

		this.backends = backends;
		if (now - this.sorted_at > RESORT_MS || this.count !== backends.length) {
			this.sorted_at = now;
			this.count = backends.length;
			this.order(many);
		}
		setChildren(this.body, this.listed, () => this.row(), (row, backend) => {
			if (row.backend !== backend || !many || this.seen.has(row)) {
				row.backend = backend;
				this.fill(row);
			}
		});
	}

	order(many) {
		const wanted = this.search.value.trim().toLowerCase();
		const found = this.backends.filter((backend) => !wanted || backend.address.includes(wanted) ||
			showState(backend).toLowerCase().includes(wanted) || backend.raw.state.includes(wanted));
		const sorted = this.column ? [...found].sort(compareBy(this.column, this.direction)) :
			many ? [...found].sort(compareUrgency) : found;

		this.listed = this.all ? sorted : sorted.slice(0, MOST);
		this.tools.hidden = !many;
		setText(this.button, this.all ? `Show only ${MOST}` : `Show all ${this.backends.length}`);
		setText(this.shown, `${plural(this.listed.length, 'server')} of ${this.backends.length}` +
			(this.column ? `, by ${this.column.title.toLowerCase()}` : ', what matters first'));
	}

	row() {
		const row = element('tr');

		for (const column of COLUMNS) {
			const cell = element(column.key === 'address' ? 'th' : 'td', column.number ? 'number' : '');

			if (column.key === 'address')
				cell.scope = 'row';
			if (column.reported)
				cell.classList.add('reported');
			cell.dataset.key = column.key;
			row.append(cell);
		}
		this.watcher.observe(row);
		return row;
	}

	fill(row) {
		const {backend} = row;

		setData(row, 'level', backend.finding.level);
		setData(row, 'known', String(backend.raw.known));
		COLUMNS.forEach((column, i) => setText(row.children[i], column.show(backend)));
	}

	/* What is out of sight is filled in when it comes into it. */
	see(entries) {
		for (const {target, isIntersecting} of entries) {
			if (isIntersecting)
				this.seen.add(target);
			else
				this.seen.delete(target);
			if (isIntersecting && target.isConnected)
				this.fill(target);
		}
	}
}

