// The tests use modules of tests/browser, which bring packages of their own.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const BROWSER = fileURLToPath(new URL('../browser', import.meta.url));

if (!existsSync(`${BROWSER}/node_modules/puppeteer-core`)) {
  execFileSync('npm', ['ci', '--silent'], { cwd: BROWSER, stdio: 'inherit' });
}
