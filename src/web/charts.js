/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The last minutes of a service, drawn by Chart.js. Few servers have a line each; of many, those that
 * matter most have one, and the rest has one together, its mean.
 */
import {element, setChildren, setText} from './dom.js';
import {amount, microseconds, percent, plural, shortRate} from './format.js';
import {compareUrgency} from './health.js';
import {HISTORY_SECONDS} from './history.js';

const LINES = 8; /* as many as there are colours that all people can tell apart */
const REDRAW_MS = 1000;
const RECHOOSE_MS = 10000;
const DESCRIBE_MS = 5000;

const PLOTS = [
	{key: 'share', title: 'Share of new connections', format: percent, stacked: true},
	{key: 'in_flight', title: 'Requests in flight', format: amount},
	{key: 'latency_us', title: 'Latency', format: microseconds},
	{key: 'connections_per_second', title: 'New connections', format: shortRate},
	{key: 'reports_per_second', title: 'Reports', format: shortRate},
];

const WINDOW_SECONDS = 60; /* the picture begins with one minute, and grows by whole ones */
const TICK_SECONDS = {60: 20, 120: 60, 180: 60};

function ago(passed) {
	if (!passed)
		return 'now';
	return passed % 60 ? `${passed} s ago` : `${passed / 60} min ago`;
}

/* Chart.js wants colours, not the names that the style sheet has for them. */
function colour(name) {
	const probe = element('span');

	probe.style.color = `var(--${name})`;
	document.body.append(probe);

	const value = getComputedStyle(probe).color;

	probe.remove();
	return value;
}

class Palette {
	constructor() {
		this.lines = Array.from({length: LINES}, (_, i) => colour(`line-${i + 1}`));
		this.rest = colour('line-rest');
		this.grid = colour('rule');
		this.ink = colour('soft');
	}
}

function axes(plot, palette) {
	const font = {family: getComputedStyle(document.body).fontFamily, size: 11};

	return {
		x: {
			type: 'linear', max: 0, grid: {display: false, drawBorder: false},
			ticks: {maxRotation: 0, align: 'inner', color: palette.ink, font, callback: (value) => ago(-value)},
		},
		y: {
			min: 0, afterFit: (axis) => (axis.width = 58),
			grid: {color: palette.grid, drawBorder: false, drawTicks: false},
			ticks: {maxTicksLimit: 4, padding: 6, color: palette.ink, font, callback: (value) => plot.format(value)},
		},
	};
}

function newChart(canvas, plot, palette) {
	return new Chart(canvas, {
		type: 'line',
		data: {datasets: []},
		options: {
			animation: false, parsing: false, normalized: true, events: [], responsive: true,
			maintainAspectRatio: false, spanGaps: false, scales: axes(plot, palette),
			elements: {point: {radius: 0}, line: {borderWidth: 1.6, borderJoinStyle: 'round'}},
			plugins: {legend: {display: false}, tooltip: {enabled: false}},
		},
	});
}

/* Index HISTORY_SECONDS - 1 is the last whole second. */
function points(series) {
	const list = [];

	for (let i = 0; i < HISTORY_SECONDS; i++)
		if (list.length || !Number.isNaN(series[i]))
			list.push({x: i + 1 - HISTORY_SECONDS, y: series[i]});
	return list;
}

function together(backends, plot) {
	const total = new Float32Array(HISTORY_SECONDS);
	const counted = new Uint16Array(HISTORY_SECONDS);

	for (const backend of backends) {
		const series = backend.history.series[plot.key];

		for (let i = 0; i < HISTORY_SECONDS; i++)
			if (!Number.isNaN(series[i])) {
				total[i] += series[i];
				counted[i]++;
			}
	}
	for (let i = 0; i < HISTORY_SECONDS; i++)
		total[i] = counted[i] ? total[i] / counted[i] : NaN;
	return total;
}

export class Charts {
	constructor(section) {
		this.legend = section.querySelector('.legend');
		this.drawn_at = this.chosen_at = this.described_at = -Infinity;
		this.slots = Array(LINES).fill(null); /* a server keeps its colour as long as it is shown */
		this.plots = PLOTS.map((plot) => this.addPlot(section.querySelector('.plots'), plot));
		this.visible = false;
		new IntersectionObserver((entries) => (this.visible = entries[entries.length - 1].isIntersecting))
			.observe(section);
		addEventListener('themechange', () => (this.palette = null));
	}

	addPlot(parent, plot) {
		const figure = element('figure', 'plot');
		const title = element('h3', '', plot.title);
		const space = element('div', 'canvas');
		const canvas = element('canvas');

		canvas.role = 'img';
		canvas.ariaLabel = plot.title;
		space.append(canvas);
		figure.append(title, space);
		parent.append(figure);
		return {...plot, canvas, chart: null};
	}

	update(service, now) {
		if (!this.visible || now - this.drawn_at < REDRAW_MS - 100)
			return;
		this.drawn_at = now;
		if (!this.palette)
			this.paint();
		this.choose(service.backends, now);
		this.started ??= now;
		this.window = Math.min(HISTORY_SECONDS,
			WINDOW_SECONDS * Math.ceil((now - this.started) / 1000 / WINDOW_SECONDS + 0.01));
		for (const plot of this.plots)
			this.draw(plot);
		if (now - this.described_at > DESCRIBE_MS)
			this.describe(service, now);
	}

	paint() {
		this.palette = new Palette();
		for (const plot of this.plots) {
			plot.chart?.destroy();
			plot.chart = newChart(plot.canvas, plot, this.palette);
		}
	}

	choose(backends, now) {
		if (now - this.chosen_at < RECHOOSE_MS && this.count === backends.length)
			return;
		this.chosen_at = now;
		this.count = backends.length;

		const most = backends.length <= LINES ? LINES : LINES - 1;
		const chosen = backends.length <= LINES ? backends : [...backends].sort(compareUrgency).slice(0, most);
		const coming = chosen.filter((backend) => !this.slots.includes(backend));

		this.slots = this.slots.map((backend) => chosen.includes(backend) ? backend : null)
			.map((backend) => backend ?? coming.shift() ?? null);
		this.rest = backends.filter((backend) => !chosen.includes(backend));
		this.name();
	}

	name() {
		const entries = this.slots.map((backend, i) => ({name: backend?.address, line: i + 1})).filter(({name}) => name);

		if (this.rest.length)
			entries.push({name: `mean of the other ${plural(this.rest.length, 'server')}`, line: 'rest'});
		setChildren(this.legend, entries, () => {
			const item = element('li');

			item.append(element('span', 'swatch'), element('span'));
			return item;
		}, (item, entry) => {
			item.firstChild.className = `swatch line-${entry.line}`;
			setText(item.lastChild, entry.name);
		});
	}

	draw(plot) {
		const stacked = Boolean(plot.stacked) && !this.rest.length;
		const sets = this.slots.map((backend, i) => backend &&
			this.line(plot, backend.history.series[plot.key], this.palette.lines[i])).filter(Boolean);

		if (this.rest.length)
			sets.push(this.line(plot, together(this.rest, plot), this.palette.rest));
		plot.chart.data.datasets = sets.map((set, i) =>
			stacked ? {...set, fill: i ? '-1' : 'origin', borderWidth: 0.5} : set);
		plot.chart.options.scales.y.stacked = stacked;
		plot.chart.options.scales.y.max = stacked ? 1 : undefined;
		plot.chart.options.scales.x.min = -this.window;
		plot.chart.options.scales.x.ticks.stepSize = TICK_SECONDS[this.window];
		plot.chart.update('none');
	}

	line(plot, series, shade) {
		return {data: points(series), borderColor: shade, backgroundColor: shade};
	}

	/* For those who do not see the charts: what each says now, seldom enough not to disturb. */
	describe(service, now) {
		this.described_at = now;
		for (const plot of this.plots) {
			const shown = this.slots.filter(Boolean).map((backend) => {
				const series = backend.history.series[plot.key];

				return `${backend.address} ${plot.format(series[HISTORY_SECONDS - 1])}`;
			});

			plot.canvas.ariaLabel = `${plot.title}, the last three minutes; now: ${shown.join(', ')}`;
		}
	}
}
