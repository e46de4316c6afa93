// SPDX-License-Identifier: BSD-2-Clause
// Opens a page in headless Chromium and waits until its script has said what it found; prints that as JSON.
// Usage: node browse.cjs FOLDER-WITH-node_modules CHROMIUM URL [PIN-OF-A-CERTIFICATE-TO-TRUST]
const { createRequire } = require("module");
const path = require("path");

const [folder, executablePath, url, pin] = process.argv.slice(2);
const { chromium } = createRequire(path.join(folder, "package.json"))("playwright-core");

(async () => {
	const browser = await chromium.launch({
		executablePath, headless: true,
		args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server", ...(pin ? [`--ignore-certificate-errors-spki-list=${pin}`] : [])],
	});
	const said = { console: [], failed: [] };
	try {
		const page = await browser.newPage();
		page.on("console", (message) => { if (["error", "warning"].includes(message.type())) said.console.push(message.text()); });
		page.on("pageerror", (error) => said.console.push(String(error)));
		page.on("requestfailed", (request) => said.failed.push(`${request.url()} ${request.failure()?.errorText}`));
		await page.goto(url, { waitUntil: "load" });
		await page.waitForFunction(() => window.said !== undefined, null, { timeout: 40000 });
		Object.assign(said, await page.evaluate(() => window.said));
		said.protocols = await page.evaluate(() => [...new Set(["navigation", "resource"].flatMap((type) => performance.getEntriesByType(type))
			.map((entry) => entry.nextHopProtocol).filter(Boolean))]);
	} catch (error) {
		said.error = String(error);
	} finally {
		await browser.close();
	}
	console.log(JSON.stringify(said));
})();
