/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A table of things in numbers, that can be sorted. Of many, those that matter most, or all, or those
 * searched for. Whose table it is says in columns:
 * key and title; show: in words; of: what it is sorted by, if not value() of its key; number, reported: its
 * style; name: what a row is called by; press: what happens when that is pressed.
 */
import {element, setChildren, setText} from './dom.js';
import {plural} from './format.js';

const RESORT_MS = 5000;

export class LongTable {
	/* what: {columns, noun, most, value(item, key), urgency(a, b), mark(row, item)}, and words(item) if it likes */
	constructor(section, what) {
		Object.assign(this, what);
		this.body = section.querySelector('tbody');
		this.tools = section.querySelector('.tools');
		this.search = section.querySelector('input');
		this.button = section.querySelector('.tools button');
		this.shown = section.querySelector('.shown');
		this.all = false;
		this.sorted_at = -Infinity;
		this.seen = new Set();
		this.watcher = new IntersectionObserver((entries) => this.see(entries), {rootMargin: '200px'});
		this.head(section.querySelector('thead tr'));
		this.search.addEventListener('input', () => this.again());
		this.button.addEventListener('click', () => {
			this.all = !this.all;
			this.again();
		});
	}

	head(row) {
		for (const column of this.columns) {
			const cell = element('th', column.number ? 'number' : '');
			const button = element('button', '', column.title);

			cell.scope = 'col';
			button.type = 'button';
			button.addEventListener('click', () => this.sortBy(column, cell));
			cell.append(button);
			row.append(cell);
		}
	}

	/* Numbers from the greatest; again: the other way round; a third time: what matters comes first again. */
	sortBy(column, cell) {
		const first = column.number ? -1 : 1;

		if (this.column !== column)
			[this.column, this.direction] = [column, first];
		else if (this.direction === first)
			this.direction = -first;
		else
			this.column = null;
		for (const other of cell.parentNode.children)
			other.removeAttribute('aria-sort');
		if (this.column)
			cell.setAttribute('aria-sort', this.direction > 0 ? 'ascending' : 'descending');
		this.again();
	}

	again() {
		this.sorted_at = -Infinity;
		if (this.items)
			this.update(this.items, performance.now());
	}

	update(items, now) {
		const many = items.length > this.most;

		this.items = items;
		if (now - this.sorted_at > RESORT_MS || this.count !== items.length) {
			this.sorted_at = now;
			this.count = items.length;
			this.order(many);
		}
		setChildren(this.body, this.listed, () => this.row(), (row, item) => {
			if (row.item !== item || !many || this.seen.has(row)) {
				row.item = item;
				this.fill(row);
			}
		});
	}

	order(many) {
		const wanted = this.search.value.trim().toLowerCase();
		const found = this.items.filter((item) => !wanted || this.words(item).includes(wanted));
		const sorted = this.column ? [...found].sort((a, b) => this.compare(a, b)) :
			many ? [...found].sort(this.urgency) : found;

		this.listed = this.all ? sorted : sorted.slice(0, this.most);
		this.tools.hidden = !many;
		setText(this.button, this.all ? `Show only ${this.most}` : `Show all ${this.items.length}`);
		setText(this.shown, `${plural(this.listed.length, this.noun)} of ${this.items.length}` +
			(this.column ? `, by ${this.column.title.toLowerCase()}` : ', what matters first'));
	}

	/* By which it is found. */
	words(item) {
		return this.columns.filter(({number}) => !number).map(({show}) => show(item)).join(' ').toLowerCase();
	}

	compare(a, b) {
		const of = this.column.of ?? ((item) => this.value(item, this.column.key));
		const one = of(a) ?? -Infinity, other = of(b) ?? -Infinity;

		if (typeof one === 'string')
			return this.direction * one.localeCompare(other, 'en', {numeric: true});
		return this.direction * (one - other);
	}

	row() {
		const row = element('tr');

		for (const column of this.columns)
			row.append(this.cell(row, column));
		this.watcher.observe(row);
		return row;
	}

	cell(row, column) {
		const cell = element(column.name ? 'th' : 'td', column.number ? 'number' : '');

		if (column.name)
			cell.scope = 'row';
		if (column.reported)
			cell.classList.add('reported');
		if (column.press) {
			cell.append(element('button'));
			cell.firstChild.type = 'button';
			cell.firstChild.addEventListener('click', () => column.press(row.item));
		}
		cell.dataset.key = column.key;
		return cell;
	}

	fill(row) {
		this.mark(row, row.item);
		this.columns.forEach((column, i) =>
			setText(column.press ? row.children[i].firstChild : row.children[i], column.show(row.item)));
	}

	/* What is out of sight is filled in when it comes into it. */
	see(entries) {
		for (const {target, isIntersecting} of entries) {
			if (isIntersecting)
				this.seen.add(target);
			else
				this.seen.delete(target);
			if (isIntersecting && target.isConnected)
				this.fill(target);
		}
	}
}
