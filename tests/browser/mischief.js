// Tests of the tests: something is broken on purpose, and the cell has to fail, at the right step.
import { Cell } from './cells.js';
import { Proxy } from './proxy.js';
import { StompCell } from './stomp.js';

// Changes the messages of an answer or of a sending, leaving alone the other frames and the other services.
function messages(change, service = '/echo/') {
  return (path, text) => {
    const [, frame, array] = /^(a?)(\[.*\])\s*$/s.exec(text) ?? [];
    if (!path.startsWith(service) || array === undefined) {
      return text;
    }
    return `${frame}${JSON.stringify(change(JSON.parse(array)))}${frame && '\n'}`;
  };
}

const twice = messages(([first, ...rest]) => [first, first, ...rest]);
const swapped = messages(([first, second, ...rest]) =>
  second === undefined ? [first] : [second, first, ...rest],
);
const lost = messages(([, ...rest]) => rest);

class Broken extends Cell {
  constructor({ browser, pages, name, at, transport = 'xhr-polling', conduct, orphan, restarts = true }) {
    super({ browser, pages, origin: 'same-origin', transport });
    Object.assign(this, { conduct, orphan, restarts });
    this.label = `caught: ${name}`;
    this.at = at;
    // A session that nobody wanted takes its time to end; the others are not worth a long wait.
    this.limit = orphan ? Infinity : 4_000;
  }

  async front(server) {
    if (this.orphan) {
      const session = `${server.url}/commands/000/orphan/xhr`;
      await fetch(session, { method: 'POST' }).then((response) => response.text());
    }
    return this.conduct ? Proxy.start(server.port, this.conduct) : server;
  }

  async restartServer(server) {
    if (this.restarts) {
      await super.restartServer(server);
    }
  }

  judge() {
    return caught(this.run(), this.at);
  }
}

class BrokenStomp extends StompCell {
  constructor({ browser, pages, name, at, conduct }) {
    super({ browser, pages, origin: 'same-origin', carriage: 'xhr-polling' });
    Object.assign(this, { conduct, at });
    this.label = `caught with STOMP: ${name}`;
    this.limit = 4_000;
  }

  judge() {
    return caught(super.judge(), this.at);
  }
}

// Fails unless the cell does, at that step.
async function caught(run, at) {
  try {
    const { late } = await run;
    await late;
  } catch (error) {
    if (!error.message.startsWith(`${at}: `)) {
      throw new Error(`not at the step "${at}", but ${error.message}`);
    }
    return { message: error.message };
  }
  throw new Error('nothing was noticed');
}

// Changes the frames with a command: each is one message of SockJS.
function frames(command, change) {
  return messages(
    (all) => all.flatMap((text) => (text.startsWith(`${command}\n`) ? change(text) : [text])),
    '/sockjs/',
  );
}

const drop = () => [];
const repeat = (text) => [text, text];

const KINDS = [
  { name: 'a message that the browser gets twice', at: 'messages', conduct: { answer: twice } },
  { name: 'messages that the browser gets in another order', at: 'messages', conduct: { answer: swapped } },
  { name: 'a message that the browser does not get', at: 'messages', conduct: { answer: lost } },
  { name: 'a message that the server gets twice', at: 'messages', conduct: { body: twice } },
  { name: 'messages that the server gets in another order', at: 'messages', conduct: { body: swapped } },
  { name: 'a message that the server does not get', at: 'messages', conduct: { body: lost } },
  {
    name: 'a text that is decoded once too often',
    at: 'texts',
    conduct: { answer: messages((texts) => texts.map((text) => text.replace('%41', 'A'))) },
  },
  {
    name: 'a large message that is cut short',
    at: 'large messages',
    conduct: { answer: messages((texts) => texts.map((text) => text.slice(0, 60_000))) },
  },
  {
    name: 'a large turn whose last message the server does not get',
    at: 'one turn',
    conduct: { body: messages((all) => (all.length > 1_000 ? all.slice(0, -1) : all), '/long_echo/') },
  },
  {
    name: 'another close code',
    at: 'server close',
    conduct: { answer: (_, text) => text.replace('c[4001,', 'c[4002,') },
  },
  {
    name: 'a message lost before the close',
    at: 'server close',
    conduct: { answer: (_, text) => text.replace('"before the close 19"', '').replace(/,\]/, ']') },
  },
  {
    name: 'a server that does not hear of a reload',
    at: 'reload',
    transport: 'xhr-streaming',
    conduct: { deaf: true },
  },
  { name: 'a server that has not restarted', at: 'restart', transport: 'websocket', restarts: false },
  { name: 'a session too many', at: 'the end', orphan: true },
];

const STOMP_KINDS = [
  { name: 'an ERROR that the browser does not get', at: 'refusal', conduct: { answer: frames('ERROR', drop) } },
  { name: 'a MESSAGE that the browser gets twice', at: 'exchange', conduct: { answer: frames('MESSAGE', repeat) } },
  { name: 'a RECEIPT that the browser does not get', at: 'exchange', conduct: { answer: frames('RECEIPT', drop) } },
  {
    name: 'an UNSUBSCRIBE that the server does not get',
    at: 'exchange',
    conduct: { body: frames('UNSUBSCRIBE', drop) },
  },
  {
    name: 'base64 that does not say so',
    at: 'bytes',
    conduct: { answer: frames('MESSAGE', (text) => [text.replace('content-transfer-encoding', 'x')]) },
  },
  { name: 'a NACK that the server does not get', at: 'acknowledgements', conduct: { body: frames('NACK', drop) } },
  {
    name: 'a message that is taken for a new one',
    at: 'acknowledgements',
    conduct: { answer: frames('MESSAGE', (text) => [text.replace('redelivered:true', 'x:y')]) },
  },
];

export function breakages(browser, pages) {
  return [
    ...KINDS.map((kind) => new Broken({ browser, pages, ...kind })),
    ...STOMP_KINDS.map((kind) => new BrokenStomp({ browser, pages, ...kind })),
  ];
}
