// One process of an example, built before: `BUILT` names the folder in which cargo has left it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

export class Example {
  output = '';

  // Starts it for one test. It takes its address as an argument, and prints it when it is ready.
  static async start(name, t, address = '127.0.0.1:0') {
    const example = new Example();
    [, example.address] = await example.run(name, t, [address], /http:\/\/([^/\s]+)/);
    return example;
  }

  // Starts it, and resolves with what `ready` matches in its output.
  async run(name, t, args, ready) {
    if (!process.env.BUILT) {
      throw new Error('BUILT is not set: build the examples, and say where, for example: BUILT=../../target/release');
    }
    this.process = spawn(path.join(process.env.BUILT, name), args, { stdio: ['ignore', 'pipe', 'inherit'] });
    t.after(() => this.process.kill('SIGKILL'));
    // Once its output is read, too.
    this.ended = once(this.process, 'close');
    this.process.stdout.setEncoding('utf8');
    let listening = null;
    for await (const chunk of this.process.stdout.iterator({ destroyOnReturn: false })) {
      this.output += chunk;
      listening = ready.exec(this.output);
      if (listening) {
        break;
      }
    }
    assert.ok(listening, `${name} does not start: ${this.output}`);
    this.process.stdout.on('data', (chunk) => {
      this.output += chunk;
    });
    return listening;
  }

  url(path) {
    return `http://${this.address}${path}`;
  }

  // Stops it as an operator does, and gives the last line that it printed.
  async stop() {
    this.process.kill('SIGTERM');
    const [code, signal] = await this.ended;
    assert.deepEqual([code, signal], [0, null], this.output);
    return this.output.trim().split('\n').at(-1);
  }
}
