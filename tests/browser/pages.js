// The test page, seen from outside.

// The last that each browser was asked to do with its tabs.
const turns = new WeakMap();

// Opens or closes tabs of a browser one after the other: Firefox, asked to open one while it closes another, may
// answer that there is no such frame.
export function inTurn(driver, action) {
  // A context is a part of its browser.
  const browser = driver.browser?.() ?? driver;
  const turn = (turns.get(browser) ?? Promise.resolve()).then(action);
  turns.set(browser, turn.catch(() => {}));
  return turn;
}

export function closePage(browser, page) {
  return inTurn(browser.driver, () => (page.isClosed() ? undefined : page.close()));
}

// Opens a tab; `started` closes it, if nothing else has.
export async function openPage(browser, url, started) {
  const page = await inTurn(browser.driver, () => browser.driver.newPage());
  started.add(page, () => closePage(browser, page));
  // What went wrong in the page's scripts, those of its iframes included.
  page.errors = [];
  page.on('pageerror', (error) => page.errors.push(error.message));
  await page.goto(url, { waitUntil: 'load' });
  return page;
}

// Calls a function of the page's `bench`.
export async function call(page, method, ...args) {
  try {
    return await page.evaluate((name, values) => bench[name](...values), method, args);
  } catch (error) {
    // The stacks of the page and of the driver say nothing that the message does not.
    throw new Error(error.message.split('\n')[0]);
  }
}
