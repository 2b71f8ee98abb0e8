// Requests as the tests want them: each on a connection of its own, and to a server that is chosen.
import http from 'node:http';

const LIMIT_MS = 20_000;

// Begins a request, and resolves with its answer when the head is there. `text` grows with the body.
export function open(server, path, { method = 'POST', headers = {}, body, from } = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request({
      host: '127.0.0.1',
      port: server.port,
      localAddress: from,
      agent: false,
      method,
      path,
      headers,
    });
    request.on('error', reject);
    request.on('response', (answer) => resolve(new Answer(request, answer)));
    request.end(body);
  });
}

class Answer {
  text = '';
  #looks = new Set();

  constructor(request, answer) {
    this.request = request;
    this.status = answer.statusCode;
    this.headers = answer.headers;
    answer.setEncoding('utf8').on('data', (text) => {
      this.text += text;
      this.#look();
    });
    // How the body ends: 'whole', or 'broken'.
    this.ended = new Promise((resolve) => {
      answer.on('end', () => resolve('whole'));
      answer.on('error', () => resolve('broken'));
      answer.on('close', () => resolve(answer.complete ? 'whole' : 'broken'));
    });
    this.ended.then((how) => {
      this.how = how;
      this.#look();
    });
  }

  #look() {
    for (const look of [...this.#looks]) {
      look();
    }
  }

  // Waits until the body holds a text.
  until(text, ms = LIMIT_MS) {
    return new Promise((resolve, reject) => {
      const settle = (how, value) => {
        clearTimeout(timer);
        this.#looks.delete(look);
        how(value);
      };
      const look = () => {
        if (this.text.includes(text)) {
          settle(resolve);
        } else if (this.how !== undefined) {
          settle(reject, new Error(`the body is ${this.how}, without ${text}: ${this.text.slice(-200)}`));
        }
      };
      const late = () => settle(reject, new Error(`waited ${ms / 1000} s for ${text}: ${this.text.slice(-200)}`));
      const timer = setTimeout(late, ms);
      this.#looks.add(look);
      look();
    });
  }

  destroy() {
    this.request.destroy();
  }
}

// A whole answer.
export async function ask(server, path, options) {
  const answer = await open(server, path, options);
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end of the answer to ${path} in ${LIMIT_MS / 1000} s`)), LIMIT_MS);
  });
  try {
    if ((await Promise.race([answer.ended, late])) === 'broken') {
      throw new Error(`the answer to ${path} breaks off`);
    }
  } finally {
    clearTimeout(timer);
    answer.destroy();
  }
  return answer;
}

// A message, or some, for a session.
export function send(server, session, messages, options = {}) {
  return ask(server, `${session}/xhr_send`, { body: JSON.stringify(messages), ...options });
}
