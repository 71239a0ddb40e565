// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A line for each service, as often as the daemon tells its status.
"use strict";

function line(service) {
	const item = document.createElement("li");
	const up = service.backends.filter((backend) => backend.state === "up").length;

	item.textContent = `${service.name} ${service.address}: ` +
		`${service.connections_per_second.toFixed(0)} connections/s, ` +
		`${up} of ${service.backends.length} backends reachable`;
	return item;
}

new EventSource("api/v1/stream").addEventListener("status", (message) => {
	const services = JSON.parse(message.data).services;

	document.getElementById("services").replaceChildren(...services.map(line));
});
