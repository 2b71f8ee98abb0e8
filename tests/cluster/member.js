// A member of a room, by the real client: it comes back when its session ends.
import { until } from './processes.js';
import { OPENING_MS, SockJS } from './sockjs.js';

const BACK_AFTER_MS = 50;

export class Member {
  // The lines that it has got, oldest first.
  lines = [];
  // The positions with them, if the room has a history.
  positions = [];
  // What its lines that were not sent have met.
  unsent = [];
  // The close events of sessions that had opened.
  closures = [];
  // What has become of its position, each time that it joined a room with history.
  outcomes = [];
  sent = 0;
  isJoined = false;
  // That of the node that has its session.
  port = null;
  #position = null;

  constructor(t, url, transport, key, name) {
    Object.assign(this, { url, transport, key, name });
    this.#open();
    t.after(() => this.leave());
  }

  #open() {
    const since = this.#position === null ? '' : `&since=${this.#position}`;
    const url = `${this.url}/room?key=${this.key}${since}`;
    const socket = new SockJS(url, null, { transports: [this.transport], timeout: OPENING_MS });
    this.socket = socket;
    let opened = false;
    socket.onopen = () => {
      opened = true;
    };
    socket.onmessage = ({ data }) => this.#message(JSON.parse(data));
    socket.onclose = ({ code, reason }) => {
      this.isJoined = false;
      if (opened) {
        this.closures.push({ code, reason });
      }
      this.timer = this.hasLeft ? undefined : setTimeout(() => this.#open(), BACK_AFTER_MS);
    };
  }

  #message({ joined, node, outcome, position, line, unsent }) {
    if (position !== undefined) {
      this.#position = position;
    }
    if (joined !== undefined) {
      this.isJoined = true;
      this.port = Number(node.split(':')[1]);
    } else if (outcome !== undefined) {
      this.outcomes.push(outcome);
    } else if (unsent !== undefined) {
      this.unsent.push(unsent);
    } else {
      this.lines.push(line);
      this.positions.push(position);
    }
  }

  joined() {
    return until(`${this.name} to join`, () => this.isJoined);
  }

  // Says the next line, if it is a member now. A line that was lost is not said again.
  say() {
    if (this.isJoined) {
      this.sent += 1;
      this.socket.send(JSON.stringify(`${this.name} ${this.sent}`));
    }
    return this.sent;
  }

  // What it has got of another one, as numbers.
  of(name) {
    return this.lines.filter((line) => line.startsWith(`${name} `)).map((line) => Number(line.split(' ')[1]));
  }

  leave() {
    this.hasLeft = true;
    clearTimeout(this.timer);
    this.socket.close();
  }
}
