// SPDX-License-Identifier: BSD-2-Clause
// An application as people write them: forms, JSON, uploads, events, files, WebSockets. Says the port that it got.
// Usage: node express.cjs FOLDER-WITH-node_modules FILE-TO-SEND
const { createHash } = require("crypto");
const { createRequire } = require("module");
const http = require("http");
const path = require("path");

const [folder, file] = process.argv.slice(2);
const load = createRequire(path.join(folder, "package.json"));
const express = load("express");
const multer = load("multer");
const { WebSocketServer } = load("ws");

const sum = (data) => createHash("sha256").update(data).digest("hex");
const app = express();
app.set("trust proxy", "loopback");
app.use("/form", express.urlencoded({ extended: true }));
app.use("/json", express.json({ limit: "20mb" }));

app.all(["/form", "/json"], (request, response) => response.json({ method: request.method, body: request.body, query: request.query }));
app.post("/upload", multer({ storage: multer.memoryStorage() }).array("files"), (request, response) => {
	response.json({ fields: request.body, files: request.files.map((one) => ({ name: one.originalname, type: one.mimetype, size: one.size, sum: sum(one.buffer) })) });
});
app.put("/raw", (request, response) => {
	const total = createHash("sha256");
	request.on("data", (piece) => total.update(piece));
	request.on("end", () => response.json({ sum: total.digest("hex"), trailers: request.trailers }));
});
app.put("/refuse", (request, response) => response.status(413).set("Connection", "close").send("too much"));
app.get("/who", (request, response) => {
	response.json({ ip: request.ip, protocol: request.protocol, host: request.get("host"), hostname: request.hostname, via: request.get("via"), url: request.originalUrl });
});
app.get("/redirect", (request, response) => response.redirect("/who"));
app.get("/absolute", (request, response) => response.redirect(301, `${request.protocol}://${request.get("host")}/who`));
app.get("/cookies", (request, response) => response.cookie("a", "1", { httpOnly: true }).cookie("b", "2").send(request.get("cookie") || "none"));
app.get("/file", (request, response) => response.sendFile(file));
app.get("/stream/:count", (request, response) => {
	let left = Number(request.params.count);
	const more = () => {
		while (left > 0) {
			left--;
			if (!response.write(Buffer.alloc(65536, left % 256))) return void response.once("drain", more);
		}
		response.end();
	};
	more();
});
app.get("/events", (request, response) => {
	response.set({ "Content-Type": "text/event-stream", "Cache-Control": "no-cache" }).flushHeaders();
	let count = 0;
	const timer = setInterval(() => {
		response.write(`id: ${count}\ndata: ${Date.now()}\n\n`);
		if (++count === 20) {
			clearInterval(timer);
			response.end();
		}
	}, 50);
	request.on("close", () => clearInterval(timer));
});
app.get("/trailers", (request, response) => {
	response.set("Trailer", "X-Sum").write("body");
	response.addTrailers({ "X-Sum": sum("body") });
	response.end();
});
app.get("/hints", (request, response) => response.writeEarlyHints({ link: "</a.css>; rel=preload" }, () => response.send("hinted")));
app.get("/late", (request, response) => setTimeout(() => response.send("late"), 300));
app.get("/fails", () => { throw new Error("as it may happen"); });
app.get("/cut", (request, response) => {
	response.write("half");
	setTimeout(() => response.destroy(), 50);
});
app.use((error, request, response, next) => (response.headersSent ? next(error) : response.status(error.status || 500).send("failed")));

const server = http.createServer(app);
const sockets = new WebSocketServer({ server, path: "/socket", perMessageDeflate: true, maxPayload: 32 << 20 });
sockets.on("connection", (socket, request) => {
	socket.send(JSON.stringify({ from: request.headers["x-forwarded-for"], protocol: socket.protocol }));
	socket.on("message", (data, binary) => {
		if (!binary && data.toString() === "close") socket.close(4001, "as you wish");
		else socket.send(data, { binary });
	});
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit(0)).resume(); // ends with whoever started it
