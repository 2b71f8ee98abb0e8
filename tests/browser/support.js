// Waiting with a limit, and ending what was started.

// How long anything may take that is only a matter of the machine's speed.
export const PATIENCE_MS = 20_000;

// The test server gives up a session 5 seconds after its last poll; with some time for the machine.
export const DELAY_MS = 8_000;

// A client that closes cannot always take its last poll back. Over jsonp-polling it never can, because there is
// no way to stop a script that loads. The others send one more, which nobody stops, when the close falls into
// the instant between two polls. Such a poll ends with a heartbeat, after 25 seconds at most.
export const LAST_POLL_MS = 25_000 + DELAY_MS;

export function pause(ms) {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

// Fails with `awaited` in its message when the promise takes longer than `ms`.
export async function within(ms, awaited, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms / 1000} s for ${awaited}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

// Says in which step an error happened.
export async function step(name, run) {
  try {
    return await run();
  } catch (error) {
    throw new Error(`${name}: ${error.message}`, { cause: error });
  }
}

// What a test has started. `end` ends all of it, last first, and goes on when one of them fails.
export class Started {
  #things = [];

  // Anything with an asynchronous `stop`, or a function that ends it.
  add(thing, stop = () => thing.stop()) {
    this.#things.push(stop);
    return thing;
  }

  async end() {
    const errors = [];
    for (const stop of this.#things.splice(0).reverse()) {
      try {
        await stop();
      } catch (error) {
        errors.push(error.message);
      }
    }
    if (errors.length > 0) {
      throw new Error(`cleaning up: ${errors.join('; ')}`);
    }
  }
}

export function same(got, expected, what) {
  const [g, e] = [JSON.stringify(got), JSON.stringify(expected)];
  if (g !== e) {
    throw new Error(`${what}: got ${g} for ${e}`);
  }
}

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
