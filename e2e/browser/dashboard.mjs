// Drives Chromium through the dashboard: node dashboard.mjs ADDRESS MODULES [SCREENSHOTS]
// MODULES is where hack/browser/build installed playwright-core and axe-core. Prints a line when it waits for an edit, and one
// for each step; exits with 1 at the first expectation that does not hold.
import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [address, modules, screenshots] = process.argv.slice(2);
const require = createRequire(join(modules, "node_modules", "x.js"));
const { chromium } = require("playwright-core");
const axe = require.resolve("axe-core/axe.min.js");
const base = new URL(address).origin;
// A wait that is never over fails here, and not at the end of the whole run.
const limit = 30_000;

const problems = [];
const expect = (holds, what) => {
  if (!holds) throw new Error(what);
};
const step = (text) => console.log(`step ${text}`);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});

const watched = async (options) => {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(limit);
  const page = await context.newPage();
  page.on("console", (message) => message.type() === "error" && problems.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => problems.push(`script: ${error.message}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(base)) problems.push(`request to ${request.url()}`);
  });
  return page;
};

// What is evaluated by the debugger's protocol is not subject to the page's policy.
const rules = readFileSync(axe, "utf8");
const accessible = async (page, name) => {
  await page.evaluate(rules);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const texts = violations.map((one) => `${one.id}: ${one.help}: ${one.nodes.map((node) => node.html).slice(0, 3).join(" | ")}`);
  expect(texts.length === 0, `${name}: ${texts.join("\n")}`);
};

const shot = async (page, name) => {
  if (screenshots) await page.screenshot({ path: join(screenshots, `${name}.png`) });
};

const paths = ["/", "/coverage", "/findings", "/explain?image=s.example%2Fapp%3Av1", "/registries", "/images", "/imports", "/builds", "/clusters/clusters/a"];

try {
  if (screenshots) mkdirSync(screenshots, { recursive: true });
  const page = await watched({ viewport: { width: 1280, height: 900 }, colorScheme: "light" });

  await page.goto(address);
  expect(!page.url().includes("token"), `the token stays in ${page.url()}`);
  expect((await page.title()).startsWith("Fleet"), "no fleet");
  const scriptable = await page.evaluate(() => document.cookie);
  expect(scriptable === "", "scripts can read the cookie");
  step("opened");

  // With the keyboard alone: past the navigation to the content, on to the filter, and to the page of a hosted cluster.
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent.trim());
  await page.keyboard.press("Tab");
  expect((await focused()) === "Skip to the content", `Tab leads to ${await focused()}`);
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement.id === "main");
  await page.keyboard.press("Tab");
  expect((await focused()) === "q", `from the content Tab leads to ${await focused()}`);
  for (let count = 0; count < 40 && (await focused()) !== "clusters/a"; count += 1) await page.keyboard.press("Tab");
  expect(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle !== "none"), "the focus is not visible");
  await page.keyboard.press("Enter");
  await page.waitForURL(/clusters\/clusters\/a/);
  await page.goBack();
  step("reached with the keyboard");

  await page.getByRole("searchbox").fill("clusters/b");
  await page.waitForFunction(() => document.querySelectorAll("table.fleet tbody tr").length === 1);
  await page.waitForURL(/[?&]q=clusters%2Fb/);
  await page.reload();
  expect((await page.locator("table.fleet tbody tr").count()) === 1, "the filter is not in the address");
  await page.getByRole("searchbox").fill("");
  await page.waitForFunction(() => document.querySelectorAll("table.fleet tbody tr").length > 1);
  await page.getByRole("link", { name: "Hosted cluster", exact: true }).click();
  expect((await page.locator("th[aria-sort=ascending]").innerText()).startsWith("Hosted cluster"), "not sorted");
  step("filtered and sorted");

  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Explain" }).click();
  await page.getByLabel("Image").fill("s.example/app@sha256:" + "a".repeat(64));
  await page.getByRole("button", { name: "Explain" }).click();
  await page.getByText("The rule for").first().waitFor();
  const look = page.locator("section.answer").first();
  expect((await look.innerText()).includes("m.example/app"), `no mirror in ${await look.innerText()}`);
  step("explained");

  await page.goto(`${base}/clusters/clusters/a`);
  await page.locator("#map").getByText("m.example").first().waitFor();
  await page.evaluate(() => { globalThis.untouched = true; });
  console.log("edit");
  await page.locator("#map").getByText("edited.example/s").first().waitFor();
  expect(await page.evaluate(() => globalThis.untouched), "the page was loaded again");
  step("an edit appeared");

  // Both widths and both schemes. Who wants pictures gets all four combinations.
  const looks = [["light", 1280], ["dark", 400]];
  if (screenshots) looks.push(["dark", 1280], ["light", 400]);
  for (const [colorScheme, width] of looks) {
    const other = await watched({ viewport: { width, height: 900 }, colorScheme });
    await other.goto(address);
    for (const path of paths) {
      await other.goto(base + path);
      const name = `${path === "/" ? "fleet" : path.slice(1).replace(/[?].*/, "").replaceAll("/", "-")}-${width}-${colorScheme}`;
      await accessible(other, name);
      const overflow = await other.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect(overflow <= 0, `${name} is ${overflow} px too wide`);
      await shot(other, name);
    }
    await other.context().close();
  }
  step("accessible, in light and dark, wide and narrow");

  const plain = await watched({ javaScriptEnabled: false });
  await plain.goto(address);
  await plain.locator("#q").fill("clusters/b");
  await plain.getByRole("button", { name: "Filter" }).click();
  expect((await plain.locator("table.fleet tbody tr").count()) === 1, "no filter without JavaScript");
  step("works without JavaScript");

  const stranger = await (await browser.newContext()).newPage();
  const refused = await stranger.goto(`${base}/`);
  expect(refused.status() === 401, `without the token: ${refused.status()}`);
  expect(problems.length === 0, problems.join("\n"));
  step("no error");
} catch (error) {
  console.error(`${error.stack ?? error}\n${problems.join("\n")}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
