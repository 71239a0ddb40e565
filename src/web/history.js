/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The last minutes, a value a second, each the mean of what was seen in that second; NaN: nothing. */

export const HISTORY_SECONDS = 180;

export class History {
	constructor(keys) {
		this.series = Object.fromEntries(
			keys.map((key) => [key, new Float32Array(HISTORY_SECONDS).fill(NaN)]));
		this.sums = Object.fromEntries(keys.map((key) => [key, {sum: 0, count: 0}]));
		this.second = 0;
	}

	add(second, values) {
		if (this.second && second !== this.second)
			this.turn(second);
		this.second = second;
		for (const key in this.sums) {
			const value = values[key];

			if (value !== null && value !== undefined && !Number.isNaN(value)) {
				this.sums[key].sum += value;
				this.sums[key].count++;
			}
		}
	}

	/* A second is over; more than one, if nothing came for a while. */
	turn(second) {
		const passed = Math.min(Math.max(second - this.second, 1), HISTORY_SECONDS);

		for (const key in this.series) {
			const series = this.series[key];
			const {sum, count} = this.sums[key];

			series.copyWithin(0, passed);
			series.fill(NaN, HISTORY_SECONDS - passed);
			series[HISTORY_SECONDS - passed] = count ? sum / count : NaN;
			this.sums[key] = {sum: 0, count: 0};
		}
	}
}
