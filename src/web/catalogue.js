/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Too many services to show them all in full: a line for each, and the one that is chosen below. */
import {setData, setText} from './dom.js';
import {count, rate} from './format.js';
import {compareSummaries} from './health.js';
import {LongTable} from './long_table.js';

const HASH = '#service=';

const COLUMNS = [
	{key: 'name', title: 'Service', show: ({name}) => name, name: true},
	{key: 'address', title: 'Address', show: ({address, protocol}) => `${address}/${protocol}`},
	{key: 'state', title: 'State', show: ({finding}) => finding.one, of: ({finding}) => finding.one},
	{key: 'open', title: 'Servers open', show: ({open, backends}) => `${count(open)} of ${count(backends)}`, number: true},
	{key: 'connections_per_second', title: 'New connections', show: (one) => rate(one.connections_per_second), number: true},
	{key: 'in_flight', title: 'In flight', show: ({in_flight}) => count(in_flight), number: true},
];

export class Catalogue {
	/* onChoice: another one is to be shown; its name is in `chosen`. */
	constructor(section, onChoice) {
		this.section = section;
		this.onChoice = onChoice;
		this.chosen = null;
		this.table = new LongTable(section, {
			columns: COLUMNS.map((column) => column.name ? {...column, press: (one) => this.choose(one.name)} : column),
			noun: 'service',
			most: 10,
			value: (one, key) => one[key],
			urgency: compareSummaries,
			mark: (row, one) => {
				setData(row, 'level', one.finding.level);
				row.ariaCurrent = String(one.name === this.chosen);
			},
		});
		addEventListener('hashchange', () => this.choose(named()));
	}

	/* The one chosen, as long as there is such; else the one to be looked at first. */
	settle(summary) {
		const known = (name) => summary.services.some((one) => one.name === name);

		if (!known(this.chosen))
			this.chosen = [named(), [...summary.services].sort(compareSummaries)[0]?.name].find(known) ?? null;
		return this.chosen;
	}

	choose(name) {
		if (!name || name === this.chosen)
			return;
		this.chosen = name;
		history.replaceState(null, '', HASH + encodeURIComponent(name));
		this.onChoice();
		this.table.again();
	}

	update(summary, now) {
		this.section.hidden = !summary;
		if (!summary)
			return;
		setText(this.section.querySelector('.quiet'),
			`${count(summary.services.length)} services are too many to show all in full. A line tells how each of them is; ` +
			`${this.chosen} stands in full below. Press another one's name to see that.`);
		this.table.update(summary.services, now);
	}
}

function named() {
	return location.hash.startsWith(HASH) ? decodeURIComponent(location.hash.slice(HASH.length)) : null;
}
