/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Light, dark, or as the system has it. Runs before the page is drawn, so that it never flashes. */
'use strict';

(() => {
	const THEMES = ['auto', 'light', 'dark'];
	const root = document.documentElement;

	/* Where storing is forbidden, the choice lasts as long as the page. */
	function remembered() {
		try {
			return localStorage.getItem('theme');
		} catch {
			return null;
		}
	}

	function remember(theme) {
		try {
			localStorage.setItem('theme', theme);
		} catch {
			/* as said */
		}
	}

	function apply(theme) {
		root.dataset.theme = THEMES.includes(theme) ? theme : 'auto';
		dispatchEvent(new Event('themechange'));
	}

	apply(remembered());
	matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => apply(root.dataset.theme));
	addEventListener('DOMContentLoaded', () => {
		const button = document.getElementById('theme');
		const label = () => (button.textContent = `Theme: ${root.dataset.theme}`);

		label();
		button.addEventListener('click', () => {
			apply(THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length]);
			remember(root.dataset.theme);
			label();
		});
	});
})();
