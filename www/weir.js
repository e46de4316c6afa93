// SPDX-License-Identifier: BSD-2-Clause
// Shows on the welcome page who answers what. Without an application behind the site it says so and leaves it at that.
"use strict";

const byId = (id) => document.getElementById(id);

function fill(list, rows) {
	list.replaceChildren(...rows.filter(([, value]) => value).flatMap(([name, value]) => {
		const term = document.createElement("dt"), detail = document.createElement("dd");
		term.textContent = name;
		detail.textContent = value;
		return [term, detail];
	}));
}

async function showFile() {
	const answer = await fetch("/weir.css", { method: "HEAD" });
	fill(byId("file"), [
		["status", String(answer.status)],
		["type", answer.headers.get("content-type")],
		["length", answer.headers.get("content-length")],
		["etag", answer.headers.get("etag")],
	]);
}

async function showApplication() {
	const answer = await fetch("/api/time");
	if (!answer.ok || !(answer.headers.get("content-type") || "").startsWith("application/json")) {
		fill(byId("app"), [
			["status", String(answer.status)],
			["answer", answer.status >= 502 ? "the application does not answer" : "no application is behind this site"],
		]);
		return false;
	}
	const said = await answer.json();
	fill(byId("app"), [
		["status", String(answer.status)],
		["type", answer.headers.get("content-type")],
		["time", said.time],
		["answers", `${said.answers} since it was started`],
	]);
	return true;
}

function listen() {
	const events = new EventSource("/api/events");
	events.onmessage = (event) => { byId("ticks").textContent = event.data; };
	events.onerror = () => { byId("ticks").textContent = "the stream ended; trying again"; };
	addEventListener("pagehide", () => events.close());
}

async function send(event) {
	event.preventDefault();
	const echo = byId("echo");
	const answer = await fetch("/api/echo", { method: "POST", body: byId("text").value });
	echo.textContent = await answer.text();
	echo.hidden = false;
}

showFile().catch(() => fill(byId("file"), [["status", "no answer"]]));
showApplication().then((there) => {
	if (!there)
		return;
	byId("demo").hidden = false;
	byId("note").addEventListener("submit", send);
	listen();
}).catch(() => fill(byId("app"), [["status", "no answer"]]));
