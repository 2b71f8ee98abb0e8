// A session of /commands that is told of every other session's end there: what the application saw.
import SockJS from 'sockjs-client';
import { PATIENCE_MS, within } from './support.js';

export class Watcher {
  // { transport, name, reason, at } of each session that has ended, oldest first.
  ends = [];
  #socket;
  #waiting = new Set();
  #closed;

  static async open(serverUrl) {
    const watcher = new Watcher();
    const options = { transports: ['websocket'], timeout: PATIENCE_MS };
    const socket = new SockJS(`${serverUrl}/commands`, null, options);
    watcher.#socket = socket;
    watcher.#closed = new Promise((resolve) => {
      socket.onclose = resolve;
    });
    const ready = new Promise((resolve, reject) => {
      socket.onopen = () => {
        // Messages are handled in order, so the answer to the second confirms the first.
        socket.send('watch');
        socket.send('ready');
      };
      socket.onmessage = ({ data }) => (data === 'ready' ? resolve() : watcher.#line(data));
      watcher.#closed.then(({ code, reason }) => reject(new Error(`closed with ${code} "${reason}"`)));
    });
    await within(PATIENCE_MS, 'the watcher', ready);
    return watcher;
  }

  #line(line) {
    const [, transport, name, reason] = /^ended (\S+) (\S+) (.*)$/s.exec(line) ?? [];
    this.ends.push({ transport, name, reason, at: Date.now() });
    for (const look of [...this.#waiting]) {
      look();
    }
  }

  // The first value of `probe` that is not undefined; it is asked at once and after each end.
  async until(ms, awaited, probe) {
    let look;
    const found = new Promise((resolve) => {
      look = () => {
        const value = probe();
        if (value !== undefined) {
          resolve(value);
        }
      };
      this.#waiting.add(look);
      look();
    });
    try {
      return await within(ms, awaited, found);
    } catch (error) {
      const ends = this.ends.map((end) => `${end.transport} ${end.name} ${end.reason}`);
      throw new Error(`${error.message}; ended so far: ${ends.join(', ') || 'none'}`);
    } finally {
      this.#waiting.delete(look);
    }
  }

  // The end of the session of that name.
  end(name, ms) {
    return this.until(ms, `the end of ${name} on the server`, () =>
      this.ends.find((end) => end.name === name),
    );
  }

  async stop() {
    this.#socket.close();
    await within(PATIENCE_MS, "the watcher's end", this.#closed);
  }
}
