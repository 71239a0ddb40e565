/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The ships: large ones with their figures where there are few servers, a dense fleet where there are many. */
import {element, fromTemplate, setChildren, setData, setFigures, setText, svg} from './dom.js';
import {amount, count, microseconds, milliseconds, percent, plural} from './format.js';
import {compareUrgency, inWords, isTrouble} from './health.js';

const FEW = 24;
const RISE = 18; /* of a ship without load: its mark is so far above the water */
const SINK = 27; /* of one without end: its deck is awash */
const WATER_LINE = 72; /* as the ship is drawn */
const MARK = 22;

const BOX_COLUMNS = 12;
const BOX_ROWS = 3;
const BOX_STEPS = [1, 2, 5];

const CELL_WIDTH = 34; /* and as wide on the screen, but on a narrow one */
const CELL_WIDTH_NARROW = 22;
const NARROW = 500;
const CELL_HEIGHT = 26;
const CELL_WATER = 15;
const CELL_RISE = 4;
const CELL_SINK = 7;
const RESORT_MS = 5000;

/* How far down: 0 at the mark, -rise at no burden at all, towards sink as the burden grows. */
function draught(burden, rise, sink) {
	const part = burden / (1 + burden);

	return part < 0.5 ? -rise * (1 - 2 * part) : sink * (2 * part - 1);
}

function depthOf(backend, rise, sink) {
	return backend.burden === null ? -rise : draught(backend.burden, rise, sink);
}

function figuresOf(backend) {
	const {raw} = backend;

	return [
		['in flight', raw.pending ? `${count(raw.in_flight)} + ${count(raw.pending)} pending` : count(raw.in_flight)],
		['latency', microseconds(raw.latency_us)],
		['share', percent(raw.share)],
		['report', raw.report_age_ms === null ? 'never' : `${milliseconds(raw.report_age_ms)} old`],
	];
}

/* Requests to a box, so that the fullest deck of the fleet has room. */
function boxSize(most) {
	for (let unit = 1;; unit *= 10)
		for (const step of BOX_STEPS)
			if (unit * step * BOX_COLUMNS * BOX_ROWS >= most)
				return unit * step;
}

function placeBox(i) {
	const row = Math.floor(i / BOX_COLUMNS);

	return svg('rect', {x: 42 + 8 * (i % BOX_COLUMNS), y: -9 - 7 * row, width: 7, height: 6});
}

class Ships {
	constructor(figure) {
		this.water = figure.querySelector('.water');
		this.caption = figure.querySelector('figcaption');
		this.size = 1;
	}

	update(backends, now, words) {
		const most = Math.max(0, ...backends.map((backend) => backend.in_flight.value ?? 0));

		/* A scale that has become too coarse may stay for a while: boxes that jump are hard to read. */
		if (boxSize(most) > this.size || boxSize(2 * most) < this.size)
			this.size = boxSize(most);
		setText(this.caption, `Water at the circle: a fair part of the load. A box on deck: ${
			plural(this.size, 'request')} in flight.`);
		setChildren(this.water, backends, () => fromTemplate('ship'), (berth, backend) => this.show(berth, backend, words));
	}

	show(berth, backend, words) {
		const parts = (berth.parts ??= {
			hulls: berth.querySelectorAll('.hull'),
			cargo: berth.querySelector('.cargo'),
			who: berth.querySelector('.who'),
			how: berth.querySelector('.how'),
			figures: berth.querySelector('dl'),
		});
		const down = WATER_LINE - MARK + depthOf(backend, RISE, SINK);

		setData(berth, 'level', backend.finding.level);
		setData(berth, 'leaving', String(backend.raw.leaving));
		setData(berth, 'burden', backend.burden === null ? '' : backend.burden.toFixed(2));
		setData(berth, 'address', backend.address);
		for (const hull of parts.hulls)
			hull.style.transform = `translateY(${down.toFixed(1)}px)`;
		this.load(parts.cargo, backend.burden === null ? 0 : backend.in_flight.value);
		if (!words && parts.who.shown === backend.address)
			return;
		setText(parts.who, backend.address);
		setText(parts.how, inWords(backend.finding));
		setFigures(parts.figures, figuresOf(backend));
	}

	load(cargo, in_flight) {
		const boxes = Math.min(Math.round(in_flight / this.size), BOX_COLUMNS * BOX_ROWS);

		while (cargo.children.length > boxes)
			cargo.lastChild.remove();
		while (cargo.children.length < boxes)
			cargo.append(placeBox(cargo.children.length));
	}
}

/* Trouble comes first, and the rest keeps its place, so that the eye can come back to it. */
class Fleet {
	constructor(figure) {
		this.water = figure.querySelector('.water');
		this.caption = figure.querySelector('figcaption');
		this.picture = svg('svg', {role: 'img', class: 'many'});
		this.cells = new Map();
		this.sorted_at = -Infinity;
		this.columns = 0;
		this.tip = element('p', 'tip');
		this.tip.hidden = true;
		this.water.replaceChildren(this.picture, this.tip);
		this.picture.addEventListener('pointermove', (event) => this.point(event));
		this.picture.addEventListener('pointerleave', () => (this.pointed = null));
	}

	update(backends, now) {
		const width = this.water.clientWidth;
		const columns = Math.max(1, Math.floor(width / (width < NARROW ? CELL_WIDTH_NARROW : CELL_WIDTH)));

		if (now - this.sorted_at > RESORT_MS || columns !== this.columns || backends.length !== this.cells.size)
			this.arrange(backends, columns, now);
		for (const backend of backends)
			this.show(this.cells.get(backend.address), backend);
		this.showTip();
	}

	arrange(backends, columns, now) {
		const troubled = backends.filter(({finding}) => isTrouble(finding));
		const others = backends.filter(({finding}) => !isTrouble(finding));
		const rows = Math.ceil(backends.length / columns);

		this.columns = columns;
		this.sorted_at = now;
		this.order = [...troubled.sort(compareUrgency), ...others];
		this.forgetAllBut(new Set(backends.map(({address}) => address)));
		this.order.forEach((backend, i) => this.place(backend.address, i));
		this.picture.setAttribute('viewBox', `0 0 ${columns * CELL_WIDTH} ${rows * CELL_HEIGHT}`);
		this.pour(rows, columns, new Set(troubled.map(({address}) => address)));
		this.describe(backends, troubled);
	}

	describe(backends, troubled) {
		const text = troubled.length ? `${troubled.length} of ${backends.length} need a look and come first` :
			`${backends.length} servers, none needs a look`;

		setText(this.caption, `${text}. Water at the line: a fair part of the load.`);
		this.picture.setAttribute('aria-label', `${backends.length} ships: ${text}. The table below has their figures.`);
	}

	forgetAllBut(addresses) {
		for (const [address, {group}] of this.cells)
			if (!addresses.has(address)) {
				group.remove();
				this.cells.delete(address);
			}
	}

	place(address, i) {
		let cell = this.cells.get(address);

		if (!cell) {
			const group = svg('g', {class: 'cell'});
			const hull = svg('path', {class: 'small', d: 'M2 -5H25L31 -7L27 6H5Z'});

			group.append(hull);
			this.picture.append(group);
			this.cells.set(address, cell = {group, hull});
		}
		cell.group.setAttribute('transform',
			`translate(${(i % this.columns) * CELL_WIDTH} ${Math.floor(i / this.columns) * CELL_HEIGHT})`);
	}

	/* The water of a row lies over its ships, but not over those to be seen first. */
	pour(rows, columns, troubled) {
		const waters = this.picture.querySelectorAll('.wave');

		waters.forEach((water) => water.remove());
		for (let row = 0; row < rows; row++)
			this.picture.append(svg('rect', {class: 'wave', x: 0, y: row * CELL_HEIGHT + CELL_WATER,
				width: columns * CELL_WIDTH, height: CELL_HEIGHT - CELL_WATER}));
		for (const {address} of this.order)
			if (troubled.has(address))
				this.picture.append(this.cells.get(address).group);
			else
				this.picture.prepend(this.cells.get(address).group);
	}

	show(cell, backend) {
		const down = Math.round(2 * (CELL_WATER + depthOf(backend, CELL_RISE, CELL_SINK))) / 2;

		cell.backend = backend;
		if (cell.down !== down) {
			cell.down = down;
			cell.hull.setAttribute('transform', `translate(0 ${down})`);
		}
		setData(cell.group, 'level', backend.finding.level);
		setData(cell.group, 'leaving', String(backend.raw.leaving));
		setData(cell.group, 'known', String(backend.burden !== null));
	}

	point(event) {
		const box = this.picture.getBoundingClientRect();
		const scale = box.width / (this.columns * CELL_WIDTH);
		const column = Math.floor((event.clientX - box.left) / (CELL_WIDTH * scale));
		const row = Math.floor((event.clientY - box.top) / (CELL_HEIGHT * scale));

		this.pointed = this.order[row * this.columns + column] ?? null;
		this.tip.style.left = `${Math.min(event.clientX - box.left, box.width - 220)}px`;
		this.tip.style.top = `${event.clientY - box.top + 20}px`;
		this.showTip();
	}

	showTip() {
		this.tip.hidden = !this.pointed;
		if (this.pointed)
			setText(this.tip, [this.pointed.address, inWords(this.pointed.finding),
				`in flight ${amount(this.pointed.raw.in_flight)}`, `latency ${microseconds(this.pointed.raw.latency_us)}`,
				`share ${percent(this.pointed.raw.share)}`].join(' · '));
	}
}

export class FleetView {
	constructor(figure) {
		this.figure = figure;
	}

	/* words: the figures too, not the ships alone. */
	update(backends, now, words) {
		const kind = backends.length <= FEW ? Ships : Fleet;

		if (!(this.view instanceof kind)) {
			setData(this.figure, 'size', kind === Ships ? 'few' : 'many');
			this.figure.querySelector('.water').replaceChildren();
			this.view = new kind(this.figure);
		}
		this.view.update(backends, now, words);
	}
}
