// STOMP by stompjs, over one transport or over a WebSocket without SockJS, from the server's origin or from another.
import { ORIGINS, TRANSPORTS } from './cells.js';
import { call, closePage, openPage } from './pages.js';
import { Proxy } from './proxy.js';
import { StompServer, pageFile } from './servers.js';
import { PATIENCE_MS, Started, same, step } from './support.js';

// A WebSocket without SockJS.
export const RAW = 'a WebSocket';
export const CARRIAGES = [RAW, ...TRANSPORTS];

// Long enough for a busy machine: three are missed before a side gives up, or two.
const BEAT_MS = 3_000;

export class StompCell {
  // No wait is longer than this, and this is what stands before the server does: tests of the tests say otherwise.
  limit = Infinity;
  conduct = {};

  constructor({ browser, pages, origin, carriage }) {
    Object.assign(this, { browser, pages, origin, carriage });
    this.label = `${browser.kind} ${origin} STOMP over ${carriage}`;
  }

  // Resolves with what the table says of this cell: { ms, notes, late }, as other cells do.
  async judge() {
    const started = new Started();
    try {
      const server = started.add(await StompServer.start());
      // The server has no pages. Of its own origin they come from something that stands before it.
      const conduct = { files: pageFile, ...this.conduct };
      const front = this.origin === 'same-origin' ? started.add(await Proxy.start(server.port, conduct)) : server;
      const base = this.origin === 'same-origin' ? front.url : this.pages.url;
      const page = await openPage(this.browser, `${base}/stomp.html`, started);
      await call(page, 'setPatience', Math.min(PATIENCE_MS, this.limit));
      const socket = `${front.url.replace('http', 'ws')}/ws`;
      const target =
        this.carriage === RAW
          ? { socket, url: socket }
          : { socket, url: `${front.url}/sockjs`, transport: this.carriage };

      const connected = await step('connect', () => call(page, 'connect', 'main', target));
      if (connected.code !== undefined) {
        await started.end();
        const note = `ends with ${connected.code} "${connected.reason}"`;
        return { ms: null, notes: [note], late: Promise.resolve() };
      }
      same(connected.transport, target.transport ?? null, 'the transport');
      await step('refusal', () => call(page, 'refusal', target));
      await step('exchange', () => call(page, 'exchange', 'main'));
      await step('handlers', () => call(page, 'handlers', 'main'));
      await step('bytes', () => call(page, 'bytes', 'main', target));
      // A browser's own WebSocket makes UTF-8 of each piece, and cannot of half a character.
      if (this.carriage !== RAW) {
        await step('split frames', () => call(page, 'split', target));
      }
      await step('acknowledgements', () => call(page, 'acknowledgements', 'main'));
      await step('failures', () => call(page, 'failures', 'main'));
      const late = this.restart(server, page, target).finally(() => started.end());
      // The caller sees to it later; until then its failure is not one that nobody handles.
      late.catch(() => {});
      return { ms: Math.round(connected.ms), notes: [], late };
    } catch (error) {
      await started.end().catch(() => {});
      throw error;
    }
  }

  async restart(server, page, target) {
    const options = { reconnectDelay: 100, heartbeatIncoming: BEAT_MS, heartbeatOutgoing: BEAT_MS };
    await step('connect with beats', () => call(page, 'connect', 'beating', target, options));
    await step('beats', () => call(page, 'beats', 'beating'));
    await server.restart();
    await step('reconnection', () => call(page, 'reconnection', 'beating'));
    await step('leave', () => call(page, 'leave', 'beating'));
    await closePage(this.browser, page);
  }
}

export function stompCells(browser, pages) {
  return CARRIAGES.flatMap((carriage) =>
    ORIGINS.map((origin) => new StompCell({ browser, pages, origin, carriage })),
  );
}
