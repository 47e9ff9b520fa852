// The authorize round in a real browser: every language and theme, without JavaScript, by keyboard, checked by axe-core.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const setting = JSON.parse(process.argv[2]);
const require = createRequire(setting.modules + "/");
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const LANGUAGES = ["en", "es", "fr", "de", "it", "pt-PT", "pt-BR", "ar"];
const THEMES = ["light", "dark"];
let checks = 0;
let users = 0;

function check(what, got, wanted = true) {
  checks += 1;
  if (JSON.stringify(got) !== JSON.stringify(wanted)) {
    throw new Error(`${what}: ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`);
  }
}

function address(options) {
  users += 1;
  const query = new URLSearchParams({
    client_id: setting.client_id, user_id: `browser-user-${users}`, response_type: "code", redirect_uri: setting.redirect_uri,
    state: "the state", ...options,
  });
  return `${setting.base_url}/oauth/authorize?${query}`;
}

// A context whose pages may not break their own policy.
async function open(browser, options) {
  const context = await browser.newContext({ viewport: { width: 1000, height: 900 }, ...options });
  const page = await context.newPage();
  const problems = [];
  page.on("console", (message) => {
    if (message.type() === "error" && !/Failed to load resource/.test(message.text())) problems.push(message.text());
  });
  page.on("pageerror", (error) => problems.push(String(error)));
  return { context, page, problems };
}

async function accessible(page, what) {
  await page.evaluate(axe);
  const result = await page.evaluate(() => globalThis.axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  }));
  check(`${what} is accessible`, result.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(" ")}`), []);
}

async function fill(page, password) {
  await page.fill("#url", setting.account.url);
  await page.fill("#username", setting.account.username);
  await page.fill("#password", password);
}

function code_of(page) {
  const url = new URL(page.url());
  check("back at the application", url.origin + url.pathname, setting.redirect_uri);
  check("state comes back", url.searchParams.get("state"), "the state");
  check("with a code", (url.searchParams.get("code") || "").length > 20);
}

// A browser gives the focus when the page is there, a moment after the click.
async function focused(page, id) {
  await page.waitForSelector(`#${id}`);
  await page.waitForFunction((wanted) => document.activeElement.id === wanted, id, { timeout: 5000 });
  checks += 1;
}

async function shot(page, name) {
  if (setting.shots) await page.screenshot({ path: `${setting.shots}/${name}.png`, fullPage: true });
}

// Every page of the round, looked at by axe on the way.
async function round(browser, language, theme) {
  const { context, page, problems } = await open(browser, {});
  const name = `${language} ${theme}`;
  await page.goto(address({ lng: language, theme }));
  check(`${name}: language`, await page.getAttribute("html", "lang"), language);
  check(`${name}: direction`, await page.evaluate(() => getComputedStyle(document.body).direction), language === "ar" ? "rtl" : "ltr");
  check(`${name}: theme`, await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme), theme);
  check(`${name}: one heading`, await page.locator("h1").count(), 1);
  await accessible(page, `${name}: picker`);
  await shot(page, `picker-${language}-${theme}`);

  await page.click("a[href*='/add/apple']");
  await accessible(page, `${name}: iCloud form`);
  await shot(page, `apple-${language}-${theme}`);
  await page.goBack();

  await page.click("a[href*='/add/caldav']");
  await focused(page, "url");
  await accessible(page, `${name}: CalDAV form`);
  await fill(page, "wrong");
  await page.click("button[type=submit]");
  await page.waitForSelector("[role=alert]");
  await focused(page, "password");
  check(`${name}: it is marked`, await page.getAttribute("#password", "aria-invalid"), "true");
  check(`${name}: it is said`, (await page.locator("[role=alert]").innerText()).length > 10);
  check(`${name}: no password is sent back`, await page.inputValue("#password"), "");
  await accessible(page, `${name}: refused form`);
  await shot(page, `refused-${language}-${theme}`);

  await page.fill("#password", setting.account.password);
  await page.click("button[type=submit]");
  await page.waitForSelector("[role=status]");
  await accessible(page, `${name}: accounts`);
  await shot(page, `accounts-${language}-${theme}`);

  await page.click("a[href*='/accounts/remove']");
  await accessible(page, `${name}: removal`);
  await page.goBack();

  await page.click("a[href*='/consent']");
  await accessible(page, `${name}: consent`);
  await shot(page, `consent-${language}-${theme}`);
  await page.click("button[value=allow]");
  await page.waitForURL(`${setting.redirect_uri}*`);
  code_of(page);
  check(`${name}: no page broke its policy`, problems, []);
  await context.close();
}

async function error_page(browser) {
  const { context, page } = await open(browser, { colorScheme: "dark", locale: "fr-CA" });
  await page.goto(address({ client_id: "nobody" }));
  check("the error page follows the browser's language", await page.getAttribute("html", "lang"), "fr");
  check("and its theme", await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme), "dark");
  await accessible(page, "error page");
  await shot(page, "error");
  await context.close();
}

async function without_javascript(browser) {
  const { context, page } = await open(browser, { javaScriptEnabled: false });
  await page.goto(address({ lng: "en" }));
  await page.click("a[href*='/add/caldav']");
  await fill(page, setting.account.password);
  await page.click("button[type=submit]");
  await page.click("a[href*='/consent']");
  await page.click("button[value=allow]");
  await page.waitForURL(`${setting.redirect_uri}*`);
  code_of(page);
  await context.close();
}

// Tab until the wanted element has the focus: whatever can be clicked can be reached.
async function reach(page, selector) {
  for (let i = 0; i < 40; i += 1) {
    if (await page.evaluate((s) => document.activeElement.matches(s), selector)) {
      const width = await page.evaluate(() => parseFloat(getComputedStyle(document.activeElement).outlineWidth));
      check(`${selector} shows its focus`, width >= 2);
      return;
    }
    await page.keyboard.press("Tab");
  }
  throw new Error(`${selector} cannot be reached by keyboard`);
}

async function by_keyboard(browser) {
  const { context, page } = await open(browser, {});
  await page.goto(address({ lng: "en" }));
  await reach(page, "a[href*='/add/caldav']");
  await Promise.all([page.waitForURL("**/add/caldav*"), page.keyboard.press("Enter")]);
  for (const [field, value] of [["#url", setting.account.url], ["#username", setting.account.username], ["#password", setting.account.password]]) {
    await reach(page, field);
    await page.keyboard.type(value);
  }
  await Promise.all([page.waitForURL("**/accounts?*"), page.keyboard.press("Enter")]);
  await reach(page, "a[href*='/consent']");
  await Promise.all([page.waitForURL("**/consent?*"), page.keyboard.press("Enter")]);
  await reach(page, "button[value=allow]");
  await page.keyboard.press("Space");
  await page.waitForURL(`${setting.redirect_uri}*`);
  code_of(page);
  await context.close();
}

async function small_and_large(browser) {
  const { context, page } = await open(browser, { viewport: { width: 320, height: 640 } });
  for (const language of ["de", "ar"]) {
    await page.goto(address({ lng: language }));
    await page.click("a[href*='/add/caldav']");
    check(`${language}: nothing is wider than a small screen`,
      await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth));
    await shot(page, `small-${language}`);
  }
  await context.close();
}

// The application that a round comes back to.
const application = createServer((request, response) => {
  response.setHeader("content-type", "text/html");
  response.end("<!DOCTYPE html><title>Back</title><p>Back at the application");
});
await new Promise((resolve) => { application.listen(Number(new URL(setting.redirect_uri).port), "127.0.0.1", resolve); });

const browser = await chromium.launch({
  executablePath: setting.chromium, headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-proxy-server", "--disable-dev-shm-usage"],
});
try {
  for (const language of LANGUAGES) {
    for (const theme of THEMES) await round(browser, language, theme);
  }
  await error_page(browser);
  await without_javascript(browser);
  await by_keyboard(browser);
  await small_and_large(browser);
  console.log(`${checks} checks`);
} finally {
  await browser.close();
  application.closeAllConnections();
  application.close();
}
