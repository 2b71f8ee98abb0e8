// What the applications saw: the ends of /commands sessions, of as many servers as there are.
import { Watcher } from '../browser/watcher.js';

export class Watchers {
  #watchers;

  static async open(servers, started) {
    const watchers = new Watchers();
    // Directly, not through the proxy.
    watchers.#watchers = await Promise.all(servers.map((server) => Watcher.open(server.url)));
    for (const watcher of watchers.#watchers) {
      started.add(watcher);
    }
    return watchers;
  }

  async end(name, ms) {
    try {
      return await Promise.any(this.#watchers.map((watcher) => watcher.end(name, ms)));
    } catch (error) {
      // What has ended meanwhile would be told by server, in long lists.
      throw new Error(error.errors.map(({ message }) => message.replace(/; ended so far.*/s, '')).join('; '));
    }
  }

  // The names of the sessions that have ended, by server.
  names() {
    return this.#watchers.map((watcher) => watcher.ends.map((end) => end.name));
  }
}
