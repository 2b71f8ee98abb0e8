// One process of an example, built before: `BUILT` names the folder in which cargo has left it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

export class Example {
  output = '';

  // Starts it for one test. It takes its address as an argument, and prints it when it is ready.
  static async start(name, t, address = '127.0.0.1:0') {
    if (!process.env.BUILT) {
      throw new Error('BUILT is not set: build the examples, and say where, for example: BUILT=../../target/release');
    }
    const example = new Example();
    example.process = spawn(path.join(process.env.BUILT, name), [address], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => example.process.kill('SIGKILL'));
    // Once its output is read, too.
    example.ended = once(example.process, 'close');
    example.process.stdout.setEncoding('utf8');
    for await (const chunk of example.process.stdout.iterator({ destroyOnReturn: false })) {
      example.output += chunk;
      const listening = /http:\/\/([^/\s]+)/.exec(example.output);
      if (listening) {
        example.address = listening[1];
        break;
      }
    }
    assert.ok(example.address, `${name} does not start: ${example.output}`);
    example.process.stdout.on('data', (chunk) => {
      example.output += chunk;
    });
    return example;
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
