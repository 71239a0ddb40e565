/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The document is touched only where something has changed: that is what keeps an update cheap. */

export function setText(node, text) {
	if (node.shown === text)
		return false;
	node.shown = text;
	node.textContent = text;
	return true;
}

export function setData(node, key, value) {
	if (node.dataset[key] !== value)
		node.dataset[key] = value;
}

export function element(name, className, text) {
	const node = document.createElement(name);

	if (className)
		node.className = className;
	if (text !== undefined)
		setText(node, text);
	return node;
}

export function svg(name, attributes) {
	const node = document.createElementNS('http://www.w3.org/2000/svg', name);

	for (const [key, value] of Object.entries(attributes))
		node.setAttribute(key, value);
	return node;
}

export function fromTemplate(id) {
	return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

/* A <dl> of figures: [[label, value], ...], the same labels each time. */
export function setFigures(list, figures) {
	if (list.children.length !== figures.length)
		list.replaceChildren(...figures.map(([label]) => {
			const pair = element('div');

			pair.append(element('dt', '', label), element('dd'));
			return pair;
		}));
	figures.forEach(([, value], i) => setText(list.children[i].lastChild, value));
}

/* As many children as there are items, made by make(), each then shown its item. */
export function setChildren(parent, items, make, show) {
	while (parent.children.length > items.length)
		parent.lastElementChild.remove();
	while (parent.children.length < items.length)
		parent.append(make());
	items.forEach((item, i) => show(parent.children[i], item));
}
