// SPDX-License-Identifier: BSD-2-Clause
// What a page does with an application: uploads, JSON, events, WebSockets, streams, a form, giving up.
const within = (promise, what, time = 10000) => Promise.race([promise, new Promise((_, reject) => setTimeout(() => reject(new Error(`no ${what}`)), time))]);

async function sum(data) {
	const digest = await crypto.subtle.digest("SHA-256", data);
	return [...new Uint8Array(digest)].map((octet) => octet.toString(16).padStart(2, "0")).join("");
}

const tasks = {
	async upload() {
		const data = new Uint8Array(8 << 20).map((_, at) => at * 31 + (at >> 11));
		const form = new FormData();
		form.append("note", "wörds");
		form.append("files", new Blob([data], { type: "image/png" }), "ümläut 1.png");
		form.append("files", new Blob(["small"], { type: "text/plain" }), "small.txt");
		const got = await (await fetch("/upload", { method: "POST", body: form })).json();
		return { got, sum: await sum(data) };
	},
	async json() {
		const sent = { text: "ß \u2028", list: [1, 2.5, null], long: "x".repeat(100000) };
		const got = await (await fetch("/json?a=1&b=%26", { method: "PUT", headers: { "Content-Type": "application/json" }, body: JSON.stringify(sent) })).json();
		return { same: JSON.stringify(got.body) === JSON.stringify(sent), query: got.query, method: got.method };
	},
	async events() {
		const source = new EventSource("/events");
		const late = [];
		await within(new Promise((resolve) => {
			source.onmessage = (event) => { late.push(Date.now() - Number(event.data)); if (event.lastEventId === "19") resolve(); };
		}), "twenty events");
		source.close();
		return late;
	},
	async socket() {
		const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/socket`);
		socket.binaryType = "arraybuffer";
		const next = () => within(new Promise((resolve) => { socket.onmessage = (event) => resolve(event.data); }), "message");
		const hello = JSON.parse(await next());
		const text = next();
		socket.send("hello ☃");
		const result = { hello, text: await text };
		const binary = next();
		socket.send(new Uint8Array(1 << 20).fill(7));
		result.binary = (await binary).byteLength;
		const closed = within(new Promise((resolve) => { socket.onclose = (event) => resolve([event.code, event.reason, event.wasClean]); }), "close");
		socket.send("close");
		result.closed = await closed;
		return result;
	},
	async stream() {
		const response = await fetch("/stream/200");
		let length = 0, pieces = 0;
		const reader = response.body.getReader();
		for (let part = await reader.read(); !part.done; part = await reader.read()) {
			length += part.value.length;
			pieces++;
		}
		return { length, pieces };
	},
	async range() {
		const response = await fetch("/file", { headers: { Range: "bytes=10-19" } });
		return { status: response.status, text: await response.text() };
	},
	async abort() {
		const control = new AbortController();
		const response = await fetch("/events", { signal: control.signal });
		await response.body.getReader().read();
		control.abort();
		return (await fetch("/late")).text();
	},
	async cut() {
		try {
			return await (await fetch("/cut")).text();
		} catch (error) {
			return error.name;
		}
	},
	async form() {
		const frame = document.getElementById("frame");
		const loaded = within(new Promise((resolve) => { frame.onload = resolve; }), "frame");
		document.getElementById("form").submit();
		await loaded;
		return JSON.parse(frame.contentDocument.body.textContent);
	},
};

const said = {};
for (const [name, task] of Object.entries(tasks)) {
	try {
		said[name] = await task();
	} catch (error) {
		said[name] = String(error);
	}
}
window.said = said;
