/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What stands below the services: packets refused, by reason, and what has happened. */
import {element, setChildren, setData, setText} from './dom.js';
import {count, rate} from './format.js';
import {sum} from './model.js';
import {verdicts} from './verdicts.js';

const EVENTS_MOST = 50;
const EVENT_LEVELS = {'no-neighbour': 'bad', 'no-backend': 'bad', 'down': 'bad', 'suspect': 'bad', 'load-unknown': 'notice'};
const REFUSALS = verdicts.filter(({refusal}) => refusal);

export class Refusals {
	constructor() {
		this.table = document.getElementById('refusals');
		this.none = document.getElementById('no-refusals');
	}

	perSecond(model) {
		return sum(REFUSALS, ({name}) => model.counter_rates[name]?.value ?? 0);
	}

	update(model) {
		const happened = REFUSALS.filter(({name}) => model.raw.counters[name] > 0);

		this.table.hidden = !happened.length;
		this.none.hidden = Boolean(happened.length);
		setChildren(this.table.tBodies[0], happened, newRefusal, (row, {name, sentence}) => {
			setText(row.children[0].children[0], name);
			setText(row.children[0].children[1], sentence);
			setText(row.children[1], count(model.raw.counters[name]));
			setText(row.children[2], rate(model.counter_rates[name].value));
		});
	}
}

function newRefusal() {
	const row = element('tr');
	const reason = element('th');

	reason.scope = 'row';
	reason.append(element('span', 'reason'), element('span', 'quiet'));
	row.append(reason, element('td', 'number'), element('td', 'number'));
	return row;
}

/* Newest first. What the list and the stream both tell is told once. */
export class EventList {
	constructor() {
		this.list = document.getElementById('events');
		this.events = [];
	}

	add(events) {
		const known = new Set(this.events.map((event) => JSON.stringify(event)));

		this.events = [...this.events, ...events.filter((event) => !known.has(JSON.stringify(event)))]
			.sort((a, b) => b.time_ms - a.time_ms || b.sequence - a.sequence).slice(0, EVENTS_MOST);
		document.getElementById('no-events').hidden = Boolean(this.events.length);
		setChildren(this.list, this.events, newEvent, (item, event) => {
			setText(item.children[0], new Date(event.time_ms).toLocaleTimeString('en-GB'));
			item.children[0].dateTime = new Date(event.time_ms).toISOString();
			setText(item.children[1], describeEvent(event));
			setData(item, 'level', EVENT_LEVELS[event.kind] ?? '');
		});
	}
}

/* The cause is a sentence whose subject is the backend, if there is one. */
function describeEvent({service, backend, cause}) {
	return `${service ? `${service}: ` : ''}${backend ? `${backend} ` : ''}${cause}`;
}

function newEvent() {
	const item = element('li');

	item.append(element('time', 'quiet'), element('span'));
	return item;
}
