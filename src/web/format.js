/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Values as people read them: with their unit, and no more digits than mean something. */

const UNKNOWN = '–';
const SPACE = '\u202f'; /* narrow, and no line ends there */

const short = new Intl.NumberFormat('en', {notation: 'compact', maximumFractionDigits: 1});
const whole = new Intl.NumberFormat('en', {maximumFractionDigits: 0});

function digits(value) {
	if (value !== 0 && Math.abs(value) < 10)
		return value.toFixed(1);
	return whole.format(value);
}

function isUnknown(value) {
	return value === null || value === undefined || Number.isNaN(value);
}

export function count(value) {
	return isUnknown(value) ? UNKNOWN : whole.format(value);
}

export function amount(value) {
	return isUnknown(value) ? UNKNOWN : digits(value);
}

export function weight(value) {
	return isUnknown(value) ? UNKNOWN : String(Math.round(value * 100) / 100);
}

export function rate(value) {
	return isUnknown(value) ? UNKNOWN : `${digits(value)}${SPACE}/s`;
}

/* For an axis: 20000 is "20K/s". */
export function shortRate(value) {
	return isUnknown(value) ? UNKNOWN : `${value < 10 ? digits(value) : short.format(value)}${SPACE}/s`;
}

/* Of 1. */
export function percent(value) {
	if (isUnknown(value))
		return UNKNOWN;
	return `${(100 * value).toFixed(value === 0 || value >= 0.0995 ? 0 : value < 0.00995 ? 2 : 1)}${SPACE}%`;
}

export function milliseconds(value) {
	if (isUnknown(value))
		return UNKNOWN;
	if (value < 1)
		return `${Math.round(1000 * value)}${SPACE}µs`;
	if (value < 1000)
		return `${digits(value)}${SPACE}ms`;
	return seconds(value / 1000);
}

export function microseconds(value) {
	return isUnknown(value) ? UNKNOWN : milliseconds(value / 1000);
}

export function seconds(value) {
	if (isUnknown(value))
		return UNKNOWN;
	if (value < 90)
		return `${digits(value)}${SPACE}s`;
	if (value < 90 * 60)
		return `${Math.round(value / 60)}${SPACE}min`;
	if (value < 36 * 3600)
		return `${Math.round(value / 3600)}${SPACE}h`;
	return `${Math.round(value / 86400)}${SPACE}d`;
}

/* plural(1, 'server') is "1 server". */
export function plural(number, noun) {
	return `${whole.format(number)} ${noun}${number === 1 ? '' : 's'}`;
}

/* "a, b and 3 more" */
export function names(list, most) {
	const rest = list.length - most;

	if (rest > 0)
		return `${list.slice(0, most).join(', ')} and ${whole.format(rest)} more`;
	if (list.length < 2)
		return list.join('');
	return `${list.slice(0, -1).join(', ')} and ${list[list.length - 1]}`;
}
