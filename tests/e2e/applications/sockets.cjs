// SPDX-License-Identifier: BSD-2-Clause
// A client of WebSockets: text, binary, long, in pieces, ping, many at once, the close's code. Says what it got as JSON.
// Usage: node sockets.cjs FOLDER-WITH-node_modules ws://…
const { createRequire } = require("module");
const path = require("path");

const [folder, url] = process.argv.slice(2);
const WebSocket = createRequire(path.join(folder, "package.json"))("ws");

const once = (socket, what) => new Promise((resolve, reject) => {
	const timer = setTimeout(() => reject(new Error(`no ${what}`)), 10000);
	socket.once("error", reject);
	socket.once(what, (...values) => { clearTimeout(timer); socket.off("error", reject); resolve(values); });
});

async function open(options) {
	const socket = new WebSocket(url, ["echo"], options);
	const first = once(socket, "message");
	await once(socket, "open");
	return [socket, JSON.parse((await first)[0])];
}

async function echo(socket, data, options = {}) {
	const answer = once(socket, "message");
	socket.send(data, options);
	const [got, binary] = await answer;
	return Buffer.compare(Buffer.from(data), got) === 0 && binary === (typeof data !== "string");
}

(async () => {
	const said = {};
	for (const perMessageDeflate of [false, true]) {
		const [socket, hello] = await open({ perMessageDeflate });
		const name = perMessageDeflate ? "deflated" : "plain";
		said[name] = { hello, extensions: socket.extensions };
		said[name].text = await echo(socket, "Grüße, 世界");
		said[name].empty = await echo(socket, "");
		said[name].binary = await echo(socket, Buffer.from(Array.from({ length: 256 }, (_, n) => n)));
		said[name].long = await echo(socket, Buffer.alloc(8 << 20, "weir"));
		const pieces = once(socket, "message");
		socket.send("one ", { fin: false });
		socket.send("two ", { fin: false });
		socket.send("three", { fin: true });
		said[name].pieces = (await pieces)[0].toString();
		const pong = once(socket, "pong");
		socket.ping("are you there");
		said[name].pong = (await pong)[0].toString();
		const closed = once(socket, "close");
		socket.send("close");
		const [code, reason] = await closed;
		said[name].closed = [code, reason.toString()];
	}
	const many = await Promise.all(Array.from({ length: 100 }, () => open({})));
	const good = await Promise.all(many.map(([socket], number) => echo(socket, `number ${number}`)));
	said.many = good.filter(Boolean).length;
	const ends = many.map(([socket]) => once(socket, "close"));
	for (const [socket] of many) socket.close(1000);
	said.ends = (await Promise.all(ends)).filter(([code]) => code === 1000).length;
	console.log(JSON.stringify(said));
})().catch((error) => { console.log(JSON.stringify({ error: String(error) })); });
