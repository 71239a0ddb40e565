/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The servers of a service in numbers. */
import {setData} from './dom.js';
import {count, microseconds, milliseconds, percent, rate, weight} from './format.js';
import {changesOf, compareUrgency, inWords, isTrouble} from './health.js';
import {LongTable} from './long_table.js';

/* key: what it is in the status. */
const COLUMNS = [
	{key: 'address', title: 'Server', show: ({raw}) => raw.address, name: true},
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
		return isTrouble(finding) ? inWords(finding) : finding.one;
	return raw.state === 'draining' ? `${finding.one}, by hand` :
		`${finding.one} · by hand: ${changesOf(raw)}`;
}

/* As configured, where `weights: auto` has not moved it. */
function showWeight(raw) {
	const configured = weight(raw.weight);
	const in_force = raw.weight_in_force === undefined ? configured : weight(raw.weight_in_force);

	return in_force === configured ? configured : `${in_force} (set ${configured})`;
}

export class ServerTable extends LongTable {
	constructor(section) {
		super(section, {
			columns: COLUMNS,
			noun: 'server',
			most: 20,
			value: ({raw}, key) => raw[key],
			words: (backend) => `${backend.address} ${showState(backend)} ${backend.raw.state}`.toLowerCase(),
			urgency: compareUrgency,
			mark: (row, {finding, raw}) => {
				setData(row, 'level', finding.level);
				setData(row, 'known', String(raw.known));
			},
		});
	}
}
