// The test page's functions (tests/browser/page), called in a browser or under Node.
import { readFile } from 'node:fs/promises';
import { createContext, runInContext } from 'node:vm';
import SockJS from 'sockjs-client';
import { call, closePage, openPage } from '../browser/pages.js';

const PAGE = new URL('../browser/page/', import.meta.url);
const SCRIPTS = ['texts.js', 'page.js'];

export async function underNode() {
  const context = createContext({ SockJS, performance, setTimeout, clearTimeout });
  for (const name of SCRIPTS) {
    runInContext(await readFile(new URL(name, PAGE), 'utf8'), context, { filename: name });
  }
  const bench = runInContext('bench', context);
  const sockets = runInContext('sockets', context);
  return {
    async call(method, ...args) {
      return bench[method](...args);
    },
    async stop() {
      for (const { socket } of sockets.values()) {
        socket.close();
      }
    },
  };
}

export async function inBrowser(browser, front, started) {
  const page = await openPage(browser, `${front.url}/`, started);
  return {
    call: (method, ...args) => call(page, method, ...args),
    // By which version of HTTP the browser got its answers: that of /info is the application's too.
    protocol: () =>
      page.evaluate(() => {
        const infos = performance.getEntriesByType('resource').filter(({ name }) => /\/info\b/.test(name));
        return infos.at(-1)?.nextHopProtocol;
      }),
    stop: () => closePage(browser, page),
  };
}
