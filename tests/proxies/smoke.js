// What is tried of each transport through each proxy.
import { DELAY_MS, same, step } from '../browser/support.js';

const MESSAGES = 50;
const BURST = 10;
const LARGE = 64 * 1024;

// With default transports, a page's user waits no longer than this.
const DEFAULT_OPEN_MS = 3_000;

// The client's own limits are as short as 600 ms, too short for a busy machine where one transport is asked
// for by name. With default transports it gets no options at all: there the limits are what is tested.
const OPENING_MS = 2_000;

// Chromium sometimes keeps the last poll open after a close, with and without a proxy. Then the heartbeat ends
// it, after 25 seconds, and the server waits for the next one.
const LAST_POLL_MS = 25_000 + DELAY_MS;

// How the server may see the end of a session whose client has closed it. A poll that was open is a
// connection lost; between two polls there is nothing to lose, and the time runs out.
function endings(transport) {
  if (transport === 'websocket') {
    return ['client-closed'];
  }
  return transport.endsWith('-polling') ? ['connection-lost', 'timed-out'] : ['connection-lost'];
}

export class Smoke {
  // `asked` is a transport, or 'default'; `expected` is the transport that opens, or { code, reason }.
  constructor({ client, urls, watchers, asked, expected, label }) {
    Object.assign(this, { client, urls, watchers, asked, expected });
    this.id = label.replace(/\W+/g, '-');
  }

  // Resolves with { transport, ms } or { code, reason, ms }; the promise `late` is what the server takes its
  // time for.
  async judge() {
    const { client } = this;
    const opening = await step('open', () => this.tryOpen('echo', this.urls.echo, this.asked));
    if (typeof this.expected === 'object') {
      const { code, reason } = opening;
      same({ code, reason }, this.expected, 'how it closes instead of opening');
      return { ...opening, late: Promise.resolve() };
    }
    this.checkOpen(opening);
    if (this.asked === 'default' && opening.ms > DEFAULT_OPEN_MS) {
      throw new Error(`${opening.transport} is open only after ${Math.round(opening.ms)} ms`);
    }
    await step('messages', () => client.call('bursts', 'echo', MESSAGES, BURST));
    await step('large messages', () => client.call('large', 'echo', LARGE));
    await client.call('hangUp', 'echo', 3000, 'done');
    await step('server close', () => this.serverClose());
    await step('client close', () => this.clientClose());
    const late = step('client close', () => this.checkEnd('closer', endings(this.expected), this.endMs()));
    // The caller sees to it later; until then its failure is not one that nobody handles.
    late.catch(() => {});
    return { transport: opening.transport, ms: opening.ms, late };
  }

  async tryOpen(name, url, asked) {
    const options = asked === 'default' ? undefined : { transports: [asked], timeout: OPENING_MS };
    const begun = Date.now();
    await this.client.call('start', name, url, options);
    const opening = await this.client.call('opening', name);
    return opening.code === undefined ? opening : { ...opening, ms: Date.now() - begun };
  }

  checkOpen({ code, reason, transport }) {
    if (code !== undefined) {
      throw new Error(`closed with ${code} "${reason}" instead of opening`);
    }
    same(transport, this.expected, 'the transport');
  }

  async openNamed(name) {
    // By name, whatever was asked for: Firefox makes a port wait whose WebSocket has failed before.
    await step('open', async () => this.checkOpen(await this.tryOpen(name, this.urls.commands, this.expected)));
    await this.client.call('send', name, `name ${this.id}-${name}`);
    await this.client.call('expect', name, [`named ${this.id}-${name}`], 'the answer to its name');
  }

  async checkClosure(name, expected) {
    const { code, reason, wasClean } = await this.client.call('closing', name);
    same([code, reason, wasClean], expected, 'the close event');
  }

  async checkEnd(name, reasons, ms = DELAY_MS) {
    const { reason } = await this.watchers.end(`${this.id}-${name}`, ms);
    if (!reasons.includes(reason)) {
      throw new Error(`the server saw it end as ${reason}, not as ${reasons.join(' or ')}`);
    }
  }

  endMs() {
    return this.expected === 'xhr-polling' ? LAST_POLL_MS : DELAY_MS;
  }

  async serverClose() {
    await this.openNamed('closed');
    await this.client.call('send', 'closed', 'before the close', 'close 4001 enough "for" now');
    await this.client.call('expect', 'closed', ['before the close'], 'what was sent before the close');
    await this.checkClosure('closed', [4001, 'enough "for" now', true]);
    await this.checkEnd('closed', ['server-closed 4001 enough "for" now']);
  }

  async clientClose() {
    await this.openNamed('closer');
    await this.client.call('hangUp', 'closer', 3001, 'bye');
    await this.checkClosure('closer', [3001, 'bye', true]);
  }
}
