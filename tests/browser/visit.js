// A page that opens one transport, to a server of its own origin or of another: what any server has to do there.
import { call, openPage } from './pages.js';
import { PATIENCE_MS, same, step } from './support.js';

// The client's limit for a transport to open, which is otherwise as little as 600 ms: too tight for a busy
// machine, where the tests are not about time.
export const OPENING_MS = 5_000;

const BURST = 25;
const LARGE = 64 * 1024;

// How the server is told to close.
const CLOSURE = { code: 4001, reason: 'text "quoted" %41 \u00e9' };

export class Visit {
  // No wait is longer than this. Tests of the tests, which wait in vain, want to be done sooner.
  limit = Infinity;
  // What the page is asked for with.
  query = '';

  constructor({ browser, pages, origin, transport }) {
    Object.assign(this, { browser, pages, origin, transport });
    this.label = `${browser.kind} ${origin} ${transport}`;
  }

  async openPage(server, started) {
    const base = this.origin === 'same-origin' ? server.url : this.pages.url;
    const page = await openPage(this.browser, `${base}/${this.query}`, started);
    await call(page, 'setPatience', Math.min(PATIENCE_MS, this.limit));
    return page;
  }

  async reload(page) {
    await page.reload({ waitUntil: 'load' });
    await call(page, 'setPatience', Math.min(PATIENCE_MS, this.limit));
  }

  async tryOpen(page, name, url) {
    await call(page, 'start', name, url, { transports: [this.transport], timeout: OPENING_MS });
    return call(page, 'opening', name);
  }

  async open(page, name, url) {
    const { code, reason, transport } = await this.tryOpen(page, name, url);
    if (code !== undefined) {
      throw new Error(`closed with ${code} "${reason}" instead of opening`);
    }
    same(transport, this.transport, 'the transport');
  }

  // As many to the server, and back again.
  messages(page, name, count, burst = BURST) {
    return step('messages', () => call(page, 'bursts', name, count, burst));
  }

  large(page, name) {
    return step('large messages', () => call(page, 'large', name, LARGE));
  }

  async checkClosure(page, name, expected) {
    const { code, reason, wasClean } = await call(page, 'closing', name);
    same([code, reason, wasClean], expected, 'the close event');
  }

  async close(page, name) {
    await call(page, 'hangUp', name, 3001, 'bye');
    await this.checkClosure(page, name, [3001, 'bye', true]);
  }

  // Resolves with how the server has closed a session of its service that can be told to.
  async closedByServer(page, name) {
    const { code, reason } = CLOSURE;
    const messages = Array.from({ length: 20 }, (_, n) => `before the close ${n}`);
    await call(page, 'send', name, ...messages, `close ${code} ${reason}`);
    await call(page, 'expect', name, messages, 'what was sent before the close');
    await this.checkClosure(page, name, [code, reason, true]);
    return CLOSURE;
  }
}
