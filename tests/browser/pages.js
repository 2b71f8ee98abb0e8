// The test page, seen from outside.

// Opens a tab; `started` closes it, if nothing else has.
export async function openPage(browser, url, started) {
  const page = await browser.driver.newPage();
  started.add(page, () => (page.isClosed() ? undefined : page.close()));
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
