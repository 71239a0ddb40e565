/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The page from top to bottom: what comes in goes into the model, and from there into the views. */
import {element, fromTemplate, setChildren, setData, setFigures, setText} from './dom.js';
import {count, microseconds, rate, seconds} from './format.js';
import {Catalogue} from './catalogue.js';
import {Charts} from './charts.js';
import {FleetView} from './fleet.js';
import {explainChanges, explainSilence, isUp, judge, staying} from './health.js';
import {Model} from './model.js';
import {EventList, Refusals} from './lists.js';
import {Stream} from './stream.js';
import {ServerTable} from './table.js';

const byId = (id) => document.getElementById(id);
const WORDS_MS = 900; /* ships move as often as the stream tells; figures that change faster cannot be read */
const SENTENCE_MS = 1500; /* it is read aloud: not more often than this */

class ServiceView {
	constructor(service) {
		this.service = service;
		this.node = fromTemplate('service');
		this.part = (selector) => this.node.querySelector(selector);
		this.fleet = new FleetView(this.part('.fleet'));
		this.charts = new Charts(this.part('.charts'));
		this.table = new ServerTable(this.part('.servers'));
	}

	update(now, words) {
		const {service} = this;

		this.fleet.update(service.backends, now, words);
		this.charts.update(service, now);
		if (words)
			this.tell(service, now);
	}

	tell(service, now) {
		const {raw} = service;

		const address = `${raw.address}/${raw.protocol}`;

		setText(this.part('.name'), address.startsWith(raw.name) ? '' : raw.name);
		setText(this.part('.address'), address);
		this.part('.scroll').ariaLabel = `Servers of ${raw.name} in numbers`;
		setText(this.part('.policy'), describePolicy(raw));
		this.note('.silence', explainSilence(service));
		this.note('.changes', explainChanges(service));
		setFigures(this.part('.figures'), serviceFigures(service));
		this.table.update(service.backends, now);
	}

	note(selector, text) {
		setText(this.part(selector), text ?? '');
		this.part(selector).hidden = !text;
	}
}

/* "policy power-of-choices, 4 choices · signal in-flight · feedback in-band" */
function describePolicy(raw) {
	const choices = raw.policy === 'power-of-choices' && raw.choices ? `, ${raw.choices} choices` : '';

	return `Policy ${raw.policy}${choices} · signal ${raw.signal} · feedback ${raw.feedback}`;
}

function serviceFigures(service) {
	const {raw, backends} = service;
	const stay = staying(backends), leaving = backends.length - stay.length;
	const up = stay.filter((backend) => isUp(backend.raw)).length;

	return [
		['new connections', rate(raw.connections_per_second)],
		['in flight', service.known ? count(service.in_flight) : '–'],
		['pending', count(service.pending)],
		['mean latency', service.known ? microseconds(service.latency_us) : '–'],
		['reports', rate(service.reports_per_second)],
		['servers up', `${count(up)} of ${count(stay.length)}${leaving ? `, ${count(leaving)} leaving` : ''}`],
		['with fresh reports', `${count(stay.filter((backend) => backend.raw.known).length)} of ${count(stay.length)}`],
	];
}

class Page {
	constructor() {
		this.model = new Model();
		this.catalogue = new Catalogue(byId('catalogue'), () => this.stream.again());
		this.views = [];
		this.refusals = new Refusals();
		this.events = new EventList();
		this.link = 'asking';
		this.sentence_at = this.words_at = -Infinity;
	}

	onStatus(status) {
		const now = performance.now();

		this.model.update(status, now);
		if (!document.hidden)
			this.draw(now);
	}

	draw(now) {
		const {model} = this;

		const words = now - this.words_at > WORDS_MS;

		this.judgement = judge(model, now);
		if (words) {
			this.words_at = now;
			this.drawHead();
			this.refusals.update(model);
		}
		this.drawSummary(now);
		if (words)
			this.catalogue.update(model.summary, now);
		while (this.views.length > model.services.length)
			this.views.pop().node.remove();
		model.services.forEach((service, i) => this.drawService(service, i, now, words));
	}

	drawService(service, i, now, words) {
		const before = this.views[i];

		if (before?.service !== service) {
			this.views[i] = new ServiceView(service);
			byId('services').insertBefore(this.views[i].node, before?.node ?? null);
			before?.node.remove();
			words = true;
		}
		this.views[i].update(now, words);
	}

	drawHead() {
		const {raw} = this.model, totals = this.model.totals();
		const interfaces = raw.interfaces.map(({name, xdp_mode}) => `${name} (${xdp_mode} XDP)`).join(', ');

		setText(byId('identity'), [`${raw.role} ${raw.instance}`, `up ${seconds(Math.floor(raw.uptime_seconds))}`, interfaces,
			`reports ${raw.keyed ? 'keyed' : 'not keyed'}`, `plimsoll ${raw.version}`].join(' · '));
		setFigures(byId('totals'), [
			...totals.services > 1 ? [
				['new connections', rate(totals.connections_per_second)],
				['in flight', count(totals.in_flight)],
			] : [],
			['flows remembered', `${count(raw.flows.used)} of ${count(raw.flows.capacity)}`],
			['refused packets', rate(this.refusals.perSecond(this.model))],
		]);
	}

	drawSummary(now) {
		const {level, sentence, reasons} = this.judgement;

		if (now - this.sentence_at > SENTENCE_MS && setText(byId('sentence'), sentence))
			this.sentence_at = now;
		setData(byId('summary'), 'level', level);
		document.title = `${level === 'ok' ? '' : level === 'bad' ? '✕ ' : '! '}${this.model.raw.instance} – Plimsoll`;
		setChildren(byId('reasons'), reasons, () => element('li'), (item, reason) => {
			setText(item, reason.text);
			setData(item, 'level', reason.level);
		});
	}

	onLink(link) {
		if (this.link === link)
			return this.tellSilence();
		this.link = link;
		setData(byId('link'), 'link', link);
		setData(document.body, 'link', link);
		setText(byId('link-words'), link === 'live' ? 'live' : 'no answer');
		this.sentence_at = this.words_at = -Infinity;
		if (link === 'lost') {
			setData(byId('summary'), 'level', 'lost');
			setText(byId('sentence'), 'The balancer does not answer.');
			document.title = '✕ no answer – Plimsoll';
			this.tellSilence();
		}
	}

	tellSilence() {
		const passed = seconds(Math.round((performance.now() - this.model.at) / 1000));
		const texts = [this.model.raw ? `Last heard ${passed} ago; asking again every second. All below is as it was then.` :
			'Asking again every second.',
		'This page asks the daemon. Connections may go on all the same: the kernel forwards them without it.'];

		if (this.link === 'lost')
			setChildren(byId('reasons'), texts, () => element('li'), (item, text) => {
				setText(item, text);
				setData(item, 'level', 'idle');
			});
	}

	onSummary(summary) {
		this.model.summarise(summary);
	}

	choose(summary) {
		this.model.summarise(summary);
		return this.catalogue.settle(summary);
	}

	onEvents(events) {
		this.events.add(events);
	}
}

const page = new Page();

page.stream = new Stream(page);
page.stream.open();

window.plimsoll = page; /* for the curious, and for the tests */
