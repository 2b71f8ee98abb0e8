// RabbitMQ with the settings of the recipe, as an ordinary user's process with a folder of its own.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { freePort } from '../cluster/ports.js';
import { Child, accepts, scratch } from '../cluster/processes.js';
import { WebSocket } from '../cluster/sockjs.js';
import { recipe } from './recipes.js';

// Debian's; the one in /usr/sbin changes user and folder.
const SERVER = '/usr/lib/rabbitmq/bin/rabbitmq-server';
// How long it may take to start.
const PATIENCE_MS = 90_000;

// What tells Erlang's nodes about each other. Started by the broker, it would stay behind.
class Epmd extends Child {
  static async start(t) {
    const epmd = new Epmd();
    epmd.port = await freePort();
    epmd.path = 'epmd';
    epmd.args = ['-address', '127.0.0.1', '-port', `${epmd.port}`];
    t.after(() => epmd.kill());
    return epmd.start();
  }

  isReady() {
    return accepts(this.port);
  }
}

export class RabbitMq extends Child {
  patience = PATIENCE_MS;

  static async start(t) {
    assert.ok(existsSync(SERVER), `${SERVER} is missing (in Debian: apt-get install rabbitmq-server)`);
    const broker = new RabbitMq();
    const epmd = await Epmd.start(t);
    const [amqp, stomp, distribution] = [await freePort(), await freePort(), await freePort()];
    broker.port = await freePort();
    const folder = scratch();
    const settings = recipe('rabbitmq/rabbitmq.conf', [['15674', broker.port], ['61613', stomp]]);
    writeFileSync(`${folder}/rabbitmq.conf`, `${settings}listeners.tcp.1 = 127.0.0.1:${amqp}\nlog.file = false\n`);
    writeFileSync(`${folder}/enabled_plugins`, recipe('rabbitmq/enabled_plugins'));
    broker.path = SERVER;
    broker.args = [];
    broker.env = {
      ...process.env,
      HOME: folder,
      RABBITMQ_NODENAME: `gateway${broker.port}@localhost`,
      RABBITMQ_CONF_ENV_FILE: '/dev/null',
      RABBITMQ_CONFIG_FILE: `${folder}/rabbitmq`,
      RABBITMQ_MNESIA_BASE: `${folder}/db`,
      RABBITMQ_LOG_BASE: folder,
      RABBITMQ_LOGS: '-',
      RABBITMQ_ENABLED_PLUGINS_FILE: `${folder}/enabled_plugins`,
      RABBITMQ_PID_FILE: `${folder}/pid`,
      RABBITMQ_DIST_PORT: `${distribution}`,
      ERL_EPMD_PORT: `${epmd.port}`,
      ERL_EPMD_ADDRESS: '127.0.0.1',
      // The script is then replaced by the broker, so that the child is the broker.
      RUNNING_UNDER_SYSTEMD: 'true',
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
    };
    t.after(() => broker.kill());
    return broker.start();
  }

  // It accepts before it can answer.
  async isReady() {
    const socket = new WebSocket(`ws://127.0.0.1:${this.port}/ws`, ['v12.stomp']);
    socket.on('error', () => {});
    try {
      const closed = once(socket, 'close');
      const isOpen = await Promise.race([once(socket, 'open').then(() => true, () => false), closed.then(() => false)]);
      if (!isOpen) {
        return false;
      }
      socket.send('CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\n\n\0');
      const answer = await Promise.race([once(socket, 'message'), closed.then(() => [''])]);
      return `${answer[0]}`.startsWith('CONNECTED');
    } finally {
      socket.terminate();
    }
  }
}
