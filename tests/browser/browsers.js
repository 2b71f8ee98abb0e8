// Starts the two browsers, headless and deaf to everything but this machine.
import puppeteer from 'puppeteer-core';
import { PATIENCE_MS, within } from './support.js';

const LAUNCH_MS = 60_000;

// An address where nothing listens: the discard port, which no browser even connects to.
const NOWHERE = { host: '127.0.0.1', port: 9 };

function chromium() {
  const args = [
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    // Whatever the flags above have missed does not find its host.
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
  ];
  // Its sandbox refuses to work for root.
  if (process.getuid?.() === 0) {
    args.push('--no-sandbox');
  }
  return { browser: 'chrome', executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args };
}

function firefox() {
  return {
    browser: 'firefox',
    executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
    // Without this it takes no notice of services.settings.server.
    env: { ...process.env, MOZ_REMOTE_SETTINGS_DEVTOOLS: '1' },
    extraPrefsFirefox: {
      // All that does not stay on this machine goes to a proxy that is not there.
      'network.proxy.type': 1,
      'network.proxy.http': NOWHERE.host,
      'network.proxy.http_port': NOWHERE.port,
      'network.proxy.ssl': NOWHERE.host,
      'network.proxy.ssl_port': NOWHERE.port,
      'network.proxy.no_proxies_on': 'localhost, 127.0.0.1',
      'network.proxy.failover_direct': false,
      'network.captive-portal-service.enabled': false,
      'network.connectivity-service.enabled': false,
      'network.dns.disablePrefetch': true,
      'network.trr.mode': 5,
      'app.normandy.enabled': false,
      'app.update.disabledForTesting': true,
      'browser.safebrowsing.downloads.enabled': false,
      'browser.search.update': false,
      'datareporting.healthreport.uploadEnabled': false,
      'dom.push.connection.enabled': false,
      'extensions.update.enabled': false,
      'media.gmp-manager.updateEnabled': false,
      'services.settings.server': 'data:,#nowhere',
      'toolkit.telemetry.server': 'data:,nowhere',
      // Pages in the background keep their timers, as Chromium's do by the driver's flags.
      'dom.min_background_timeout_value': 4,
      'dom.min_background_timeout_value_without_budget_throttling': 4,
      'dom.timeout.enable_budget_timer_throttling': false,
    },
  };
}

export const BROWSERS = { chromium, firefox };

const running = new Set();

// Last resort. The driver has one of its own, but that ends only every other browser.
process.on('exit', () => {
  for (const { pid } of running) {
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  }
});

export async function launch(kind) {
  const driver = await puppeteer.launch({
    headless: true,
    timeout: LAUNCH_MS,
    // Longer than any wait inside a page, which tells more about what was awaited.
    protocolTimeout: 60_000,
    handleSIGHUP: false,
    handleSIGINT: false,
    handleSIGTERM: false,
    ...BROWSERS[kind](),
  });
  const child = driver.process();
  running.add(child);
  child.on('exit', () => running.delete(child));
  return driver;
}

export async function quit(driver) {
  try {
    await within(PATIENCE_MS, 'the end of the browser', driver.close());
  } catch (error) {
    driver.process().kill('SIGKILL');
    throw error;
  }
}
