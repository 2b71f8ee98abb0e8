// Runs first: says in one line what is missing, instead of letting
// every single test fail with it.
import { serverUrl } from './support.js';

try {
  const info = `${serverUrl()}/echo/info`;
  const response = await fetch(info, { signal: AbortSignal.timeout(10_000) }).catch((error) => {
    throw new Error(`no answer from ${info}: ${error.cause?.message ?? error.message}`);
  });
  if (!response.ok) {
    throw new Error(`${info} answers with status ${response.status}: is this the test server?`);
  }
  await response.arrayBuffer();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
