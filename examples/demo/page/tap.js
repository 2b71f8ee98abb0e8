// Listens in on the client's traffic. The client picks up the browser's
// constructors while it loads, so this has to stand in front of it. Nothing that
// arrives is changed on the way: listeners are only told about it.
//
// Each part of the page that opens a connection puts its name into the address
// of the endpoint, as "?view=NAME"; the client keeps that in every address it
// asks for, so that the traffic of one connection can be told from another's.
//
// A listener is called as listener(direction, channel, text). The direction is
// "in", "out", or "fail" for a request or connection that broke.
const tap = (() => {
  'use strict';
  const listeners = new Map();
  const report = (view, direction, channel, text) => listeners.get(view)?.(direction, channel, text);

  // Whose address it is, and its last part, such as "xhr_send".
  const describe = (address) => {
    const url = new URL(address, document.baseURI);
    return { view: url.searchParams.get('view'), channel: url.pathname.split('/').pop() };
  };

  window.WebSocket = class extends WebSocket {
    constructor(...args) {
      super(...args);
      this.view = describe(this.url).view;
      this.addEventListener('message', (event) => report(this.view, 'in', 'websocket', event.data));
      this.addEventListener('error', () => report(this.view, 'fail', 'websocket', 'failed'));
    }
    send(data) {
      report(this.view, 'out', 'websocket', data);
      super.send(data);
    }
  };

  window.EventSource = class extends EventSource {
    constructor(...args) {
      super(...args);
      const { view } = describe(this.url);
      this.addEventListener('message', (event) => report(view, 'in', 'eventsource', event.data));
      this.addEventListener('error', () => report(view, 'fail', 'eventsource', 'broke off'));
    }
  };

  window.XMLHttpRequest = class extends XMLHttpRequest {
    open(method, url, ...rest) {
      Object.assign(this, describe(url));
      // Before the client's own listeners, so that a frame is shown before its effects.
      if (this.channel === 'info') {
        this.addEventListener('readystatechange', () => {
          if (this.readyState === 4 && this.status === 200) this.tell('in', this.responseText);
        });
      } else if (this.channel === 'xhr' || this.channel === 'xhr_streaming') {
        this.tellLines();
      }
      this.addEventListener('error', () => this.tell('fail', 'broke off'));
      this.addEventListener('load', () => {
        if (this.status >= 300) this.tell('fail', `answered ${this.status}`);
      });
      super.open(method, url, ...rest);
    }
    tell(direction, text) {
      report(this.view, direction, this.channel, text);
    }
    tellLines() {
      let seen = 0;
      this.addEventListener('readystatechange', () => {
        if (this.readyState < 3 || this.status !== 200) return;
        const text = this.responseText;
        for (let end; (end = text.indexOf('\n', seen)) !== -1; seen = end + 1) {
          this.tell('in', text.slice(seen, end));
        }
      });
    }
    send(body) {
      if (this.channel === 'xhr_send') this.tell('out', body);
      super.send(body);
    }
  };

  // The script or iframe whose address ends like this says whose it is.
  const viewOf = (ending) => {
    const found = document.querySelector(`script[src*="${ending}"], iframe[src*="${ending}"]`);
    return found && describe(found.src).view;
  };

  // htmlfile and jsonp answers arrive as calls of functions the client puts here.
  window._jp = new Proxy({}, {
    set(callbacks, name, callback) {
      const heard = (channel, frame) => report(viewOf(`c=_jp.${name}`), 'in', channel, frame);
      if (typeof callback === 'function') {
        callbacks[name] = (frame) => {
          heard('jsonp', frame);
          callback(frame);
          delete callbacks[name];
        };
      } else {
        callbacks[name] = {
          ...callback,
          message(frame) {
            heard('htmlfile', frame);
            callback.message(frame);
          },
        };
      }
      return true;
    },
    // An answer may come after its connection was closed; the client would meet it with an error.
    deleteProperty(callbacks, name) {
      if (typeof callbacks[name] === 'function') {
        callbacks[name] = () => delete callbacks[name];
      } else {
        delete callbacks[name];
      }
      return true;
    },
  });

  // jsonp sends by submitting a hidden form.
  const submit = HTMLFormElement.prototype.submit;
  HTMLFormElement.prototype.submit = function () {
    const { view, channel } = describe(this.action);
    if (channel === 'jsonp_send') report(view, 'out', channel, this.elements.d.value);
    submit.call(this);
  };

  // The iframe transports do the work in a page of their own, which passes on frames.
  window.addEventListener('message', ({ data: text }) => {
    if (typeof text !== 'string') return;
    try {
      const { windowId, type, data } = JSON.parse(text);
      if (/^\w+$/.test(windowId) && type === 't') report(viewOf(`#${windowId}`), 'in', 'iframe', data);
    } catch {
      // Somebody else's message.
    }
  });

  return { listen: (view, listener) => listeners.set(view, listener), report };
})();
