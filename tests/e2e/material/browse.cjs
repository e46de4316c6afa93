// SPDX-License-Identifier: BSD-2-Clause
// Loads a page in headless Chromium, plays its films and seeks in them; says what happened as JSON.
// Usage: node browse.cjs FOLDER-WITH-node_modules CHROMIUM URL [PIN-OF-A-CERTIFICATE-TO-TRUST]
const { createRequire } = require("module");
const path = require("path");

const [folder, executablePath, url, pin] = process.argv.slice(2);
const { chromium } = createRequire(path.join(folder, "package.json"))("playwright-core");

async function film(page, id) {
	return page.evaluate(async (name) => {
		const video = document.getElementById(name);
		const event = (what, act) => new Promise((resolve, reject) => {
			const timer = setTimeout(() => reject(new Error(`${name}: no ${what}; ready ${video.readyState}, error ${video.error?.message}`)), 15000);
			video.addEventListener(what, () => { clearTimeout(timer); resolve(); }, { once: true });
			act();
		});
		const until = async (condition, what) => {
			for (let turn = 0; turn < 300; turn++) {
				if (condition()) return;
				await new Promise((resolve) => setTimeout(resolve, 50));
			}
			throw new Error(`${name}: not ${what}; at ${video.currentTime}`);
		};
		const result = {};
		video.muted = true;
		await event("playing", () => video.play());
		await until(() => video.currentTime > 0.3, "playing");
		result.duration = video.duration;
		result.width = video.videoWidth;
		await event("seeked", () => { video.currentTime = video.duration * 0.8; });
		const late = video.currentTime;
		await until(() => video.currentTime > late + 0.2, "playing behind the seek");
		result.late = late;
		await event("seeked", () => { video.currentTime = video.duration * 0.4; });
		result.middle = video.currentTime;
		video.pause();
		return result;
	}, id);
}

(async () => {
	const browser = await chromium.launch({
		executablePath, headless: true,
		args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required", "--no-proxy-server", ...(pin ? [`--ignore-certificate-errors-spki-list=${pin}`] : [])],
	});
	const said = { console: [], failed: [], statuses: {}, films: {} };
	try {
		const page = await browser.newPage();
		page.on("console", (message) => { if (["error", "warning"].includes(message.type())) said.console.push(message.text()); });
		page.on("pageerror", (error) => said.console.push(String(error)));
		page.on("requestfailed", (request) => {
			// A film's request is given up when the browser has enough or seeks.
			if (!request.url().includes("/films/")) said.failed.push(`${request.url()} ${request.failure()?.errorText}`);
		});
		page.on("response", (response) => { said.statuses[response.url()] = response.status(); });
		await page.goto(url, { waitUntil: "load" });
		await page.waitForFunction(() => document.getElementById("modules").textContent.startsWith("length"), null, { timeout: 15000 });
		said.modules = await page.textContent("#modules");
		said.images = await page.$$eval("#photos img", (images) => images.map((image) => image.naturalWidth));
		said.columns = await page.$eval("#photos", (row) => getComputedStyle(row).display);
		for (const id of ["mp4", "webm"]) said.films[id] = await film(page, id);
		await page.reload({ waitUntil: "load" });
		await page.waitForFunction(() => document.getElementById("modules").textContent.startsWith("length"), null, { timeout: 15000 });
		said.protocols = await page.evaluate(() => [...new Set(["navigation", "resource"].flatMap((type) => performance.getEntriesByType(type))
			.map((entry) => entry.nextHopProtocol).filter(Boolean))]);
		said.version = browser.version();
	} catch (error) {
		said.error = String(error);
	} finally {
		await browser.close();
	}
	console.log(JSON.stringify(said));
})();
