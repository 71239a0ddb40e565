/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whether all is well, and in words what is not. Levels: "bad" needs somebody now; "notice" is worth a
 * look; "ok"; "idle" is as it should be, but has nothing to say. Each server's level and words
 * are written to it; judge() answers with the page's sentence and its reasons.
 */
import {count, milliseconds, names, percent, plural, rate, seconds} from './format.js';
import {verdicts} from './verdicts.js';

const DEEP = 3; /* times the mean of the others; and until it is below the next */
const DEEP_NO_MORE = 2;
const ROOM = 0.6; /* below this, and above the next, it is said; no more than that */
const MORE = 1.5;
const QUEUE_FULL = 0.5;
const FLOWS_FULL = 0.95;
const SILENT_MS = 3000; /* connections and no report for so long */
const BUSY = 0.97; /* CPU time of the mean of a service */
const REFUSED_PER_SECOND = 0.05;
const RESTARTED_SECONDS = 30;
const NAMES_MOST = 3;
const CHANGES_MOST = 6;
const REASONS_MOST = 12;
const RANK = {bad: 0, notice: 1, ok: 2, idle: 3};

/* Refusals that say something of the service or of its servers. The rest is the network's noise. */
const REFUSAL_LEVELS = {'no-backend': 'bad', 'no-neighbour': 'bad', 'report-no-route': 'notice'};

const STATES = {
	'down': ['bad', 'is down', 'are down'],
	'suspect': ['bad', 'does not answer its clients', 'do not answer their clients'],
	'draining': ['idle', 'drains', 'drain'],
};

/* kind, level, words for one server and for several, and what follows in its own place. */
function finding(level, one, many, detail = '') {
	return {level, one, many, detail};
}

export function inWords({one, detail}) {
	return detail ? `${one}: ${detail}` : one;
}

export function isTrouble({level}) {
	return level === 'bad' || level === 'notice';
}

function findState(raw) {
	const [level, one, many] = STATES[raw.state] ?? ['notice', `is ${raw.state}`, `are ${raw.state}`];

	if (raw.leaving)
		return finding('idle', 'is leaving', 'are leaving', plural(raw.open_connections, 'connection') + ' left');
	if (raw.state === 'draining')
		return finding(level, one, many, plural(raw.open_connections, 'connection') + ' left');

	const cause = raw.cause ?? '';

	return finding(level, one, many, cause.startsWith(one) ? '' : cause);
}

function findSilence(backend, now) {
	const {raw} = backend;
	const silent = backend.silent_since !== null && now - backend.silent_since > SILENT_MS;

	if (!raw.reports)
		return silent ?
			finding('notice', 'has never reported', 'have never reported', 'though it takes connections') :
			finding('idle', 'has not reported yet', 'have not reported yet');
	return silent ?
		finding('notice', 'has stopped reporting', 'have stopped reporting',
			`though it takes connections; last ${milliseconds(raw.report_age_ms)} ago`) :
		finding('idle', 'has nothing to report', 'have nothing to report', `last ${milliseconds(raw.report_age_ms)} ago`);
}

function isDeep(backend) {
	const limit = backend.finding?.deep ? DEEP_NO_MORE : DEEP;

	return backend.judged.value !== null && backend.judged.value >= limit;
}

/* Who leaves is no longer one of the service's: it only ends what it has begun. */
export function staying(backends) {
	return backends.filter(({raw}) => !raw.leaving);
}

/* What nothing speaks against takes connections. */
export function isUp({state}) {
	return state === 'healthy' || state === 'unknown';
}

/* Datagrams bear no reports: load is known only of servers that answer in TCP, too, or are polled. */
function expectsReports({raw}) {
	return raw.feedback === 'poll' || (raw.feedback === 'in-band' && raw.protocol === 'tcp');
}

function examine(backend, service, now) {
	const {raw} = backend;

	if (!isUp(raw))
		return findState(raw);
	if (service.raw.feedback === 'none' || (!raw.known && !expectsReports(service)))
		return finding('ok', 'is up', 'are up');
	if (!raw.known)
		return findSilence(backend, now);
	if (raw.accept_queue >= QUEUE_FULL)
		return finding('bad', 'cannot accept its connections', 'cannot accept their connections',
			raw.accept_queue < 1 ? `queue ${percent(raw.accept_queue)} full` : 'queue full, or it resets most');
	if (isDeep(backend))
		return {...finding('notice', 'lies too deep', 'lie too deep',
			`${backend.judged.value.toFixed(1)} × the mean of the others`), deep: true};
	return finding('ok', ordinary(backend.burden), '');
}

function ordinary(burden) {
	if (burden < ROOM)
		return 'has room';
	return burden > MORE ? 'carries more than its part' : 'carries its part';
}

/* One reason for all servers of a service that have the same to say. */
function group(service) {
	const groups = new Map();

	for (const backend of service.backends) {
		const {one} = backend.finding;

		if (isTrouble(backend.finding))
			groups.set(one, [...groups.get(one) ?? [], backend]);
	}
	return [...groups.values()].map((backends) => {
		const {level, one, many, detail} = backends[0].finding;
		const single = backends.length === 1;

		return {
			level,
			count: backends.length,
			text: `${service.raw.name}: ${names(backends.map((backend) => backend.address), NAMES_MOST)} ` +
				`${single ? one : many}${single && detail ? ` (${detail})` : ''}`,
		};
	});
}

function examineService(service) {
	const reasons = group(service);
	const known = service.backends.filter((backend) => backend.raw.known);
	const used = known.reduce((total, backend) => total + backend.raw.utilisation, 0) / known.length;

	if (!staying(service.backends).length && !service.raw.leaving)
		reasons.push({level: 'bad', text: `${service.raw.name}: has no server at all`});
	if (used >= BUSY)
		reasons.push({level: 'notice', text: `${service.raw.name}: its servers are at their limit, ` +
			`${percent(used)} of their CPU time in use`});
	return reasons;
}

/* Of a service of which only a summary is known. */
export function findSummary({backends, open, suspect, down, draining, silent, leaving}) {
	const failed = suspect + down;

	if (leaving)
		return finding('idle', 'is leaving');
	if (!backends)
		return finding('bad', 'has no server at all');
	if (failed)
		return {...finding('bad', `${failed} of ${plural(backends, 'server')} ${failed === 1 ? 'does' : 'do'} not answer`),
			count: failed};
	if (!open)
		return {...finding('bad', 'all of its servers drain'), count: backends};
	if (silent)
		return {...finding('notice', `${silent} of ${plural(backends, 'server')} ${silent === 1 ? 'does' : 'do'} not report`),
			count: silent};
	return finding(draining ? 'idle' : 'ok', draining ? `${draining} of ${plural(backends, 'server')} drain` : 'is up');
}

function examineOthers(model) {
	return model.others().filter(({finding}) => isTrouble(finding))
		.map(({name, finding: {level, one, count: affected}}) => ({level, count: affected, text: `${name}: ${one}`}));
}

function examineRefusals(model) {
	return verdicts.filter(({name}) => model.counter_rates[name]?.value > REFUSED_PER_SECOND)
		.map(({name, sentence, refusal}) => ({
			level: REFUSAL_LEVELS[name] ?? (name.startsWith('report-') && name !== 'report-old' ? 'notice' : 'ok'),
			text: `${rate(model.counter_rates[name].value)} packets refused, ${name}: ${sentence}`,
			refusal,
		})).filter(({level, refusal}) => refusal && level !== 'ok');
}

function examineBalancer(model, now) {
	const {flows} = model.raw;
	const reasons = [];

	if (flows.used > FLOWS_FULL * flows.capacity)
		reasons.push({level: 'notice', text: 'the flow table is nearly full: old flows give way to new ones'});
	if (model.restarted_at !== null && now - model.restarted_at < 1000 * RESTARTED_SECONDS)
		reasons.push({level: 'ok', text: `the balancer’s daemon was started anew, ` +
			`${seconds(model.raw.uptime_seconds)} ago`});
	return reasons;
}

function sentence(model, level, reasons) {
	const totals = model.totals();
	const fleet = `${plural(totals.services, 'service')}, ${plural(totals.servers, 'server')}`;
	const affected = reasons.filter((reason) => reason.level === level)
		.reduce((total, reason) => total + (reason.count ?? 0), 0);
	const {places} = totals;

	if (level === 'ok' && !totals.connections_per_second)
		return `All is well, and quiet: ${fleet}, no new connections.`;
	if (level === 'ok')
		return `All is well: ${fleet}.`;
	if (level === 'bad')
		return affected ? `Not well: ${affected} of ${plural(places, 'server')} cannot do ${affected === 1 ? 'its' : 'their'} part.` :
			'Not well: connections are refused.';
	return affected ? `In order, but look at ${affected} of ${plural(places, 'server')}.` : 'In order, with something to look at.';
}

export function judge(model, now) {
	const reasons = [];

	for (const service of model.services) {
		for (const backend of service.backends)
			backend.finding = examine(backend, service, now);
		reasons.push(...examineService(service));
	}
	reasons.push(...examineOthers(model), ...examineRefusals(model), ...examineBalancer(model, now));
	reasons.sort((a, b) => RANK[a.level] - RANK[b.level]);

	const level = reasons.length ? reasons[0].level : 'ok';

	return {level, reasons: shorten(reasons), sentence: sentence(model, level, reasons)};
}

function shorten(reasons) {
	const rest = reasons.length - REASONS_MOST;

	return rest > 1 ? [...reasons.slice(0, REASONS_MOST), {level: reasons[REASONS_MOST].level, text: `and ${count(rest)} more`}] :
		reasons;
}

/* Of two summaries: trouble, then the busiest. */
export function compareSummaries(a, b) {
	return RANK[a.finding.level] - RANK[b.finding.level] || (b.finding.count ?? 0) - (a.finding.count ?? 0) ||
		b.connections_per_second - a.connections_per_second;
}

/* What an operator would look at first: trouble, then the deepest, then the busiest. */
export function compareUrgency(a, b) {
	return RANK[a.finding.level] - RANK[b.finding.level] ||
		(b.judged.value ?? 0) - (a.judged.value ?? 0) ||
		b.raw.connections_per_second - a.raw.connections_per_second;
}

/* Why a service has no figures, where that is not plain; or null. */
export function explainSilence(service) {
	if (service.raw.feedback === 'none')
		return 'Feedback is off: servers are not asked for their load, and connections go by weight alone.';
	if (service.reports || !service.backends.length)
		return null;
	if (!expectsReports(service))
		return 'Datagrams bear no reports: a server’s load is known only if it answers a service in TCP, too. ' +
			'New flows go by weight alone.';
	if (service.raw.feedback === 'poll')
		return 'No reports yet: no server’s agent has answered a poll. Is agent_listen set in their server.yaml?';
	if (!service.raw.connections)
		return 'No reports yet: they ride on the servers’ answers, and nobody has asked anything so far.';
	return 'No reports yet, although there were connections. Does “plimsoll server” run on the servers, ' +
		'with this balancer in its server.yaml? Until then connections go by weight alone.';
}


/* What of a server was changed while the balancer runs and is not what its file says, in words. */
export function changesOf(raw) {
	const words = {
		weight: `weight ${raw.weight}`,
		draining: raw.state === 'draining' ? 'drains' : 'drains no more',
	};

	return raw.changed.map((key) => words[key] ?? key).join(', ');
}

/* Likewise of a service, or null. */
export function explainChanges({raw, backends}) {
	const changed = staying(backends).filter((backend) => backend.raw.changed.length)
		.map((backend) => `${backend.address} (${changesOf(backend.raw)})`);
	const parts = [...changed, ...raw.removed.map((address) => `${address} (removed)`)];

	if (raw.leaving)
		return 'The service is removed: it is gone when its last connection has ended.';
	return parts.length ? `By hand, and not in the file: ${names(parts, CHANGES_MOST)}.` : null;
}
