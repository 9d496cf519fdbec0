// A CometD client with the few verbs that the tests use, the same in Node and in a browser.

export class Client {
  /** `library` is what npm's cometd exports, 5 or 9; `transport` the only one that is left to it. */
  constructor(library, url, transport, { ack = false } = {}) {
    this.cometd = new library.CometD();
    this.heard = [];
    this.events = [];
    const { cometd } = this;
    for (const type of [...cometd.getTransportTypes()]) if (type !== transport) cometd.unregisterTransport(type);
    // Node's bundle leaves this one out.
    if (!cometd.getTransportTypes().includes(transport)) throw new Error(`${transport} is not there`);
    cometd.configure({ url, logLevel: 'error', backoffIncrement: 50, maxBackoff: 200 });
    if (ack) cometd.registerExtension('ack', new library.AckExtension());
    cometd.registerExtension('timesync', new library.TimeSyncExtension());
    if (library.BinaryExtension) cometd.registerExtension('binary', new library.BinaryExtension());
  }

  handshake() {
    return new Promise((done, failed) => {
      this.cometd.handshake((reply) => (reply.successful ? done(reply) : failed(new Error(JSON.stringify(reply)))));
    });
  }

  subscribe(pattern) {
    return new Promise((done, failed) => {
      this.cometd.subscribe(
        pattern,
        (message) => {
          this.heard.push([message.channel, message.data]);
          if (message.data?.data instanceof ArrayBuffer) this.bytes = [...new Uint8Array(message.data.data)];
        },
        (reply) => (reply.successful ? done(reply) : failed(new Error(JSON.stringify(reply)))),
      );
    });
  }

  publish(channel, data) {
    return new Promise((done) => this.cometd.publish(channel, data, done));
  }

  publishBytes(channel, bytes) {
    return new Promise((done) => this.cometd.publishBinary(channel, new Uint8Array(bytes), true, done));
  }

  /** Several at once, in one request. */
  batch(channel, all) {
    return new Promise((done) => {
      let left = all.length;
      this.cometd.batch(() => {
        for (const data of all) this.cometd.publish(channel, data, () => { if (--left === 0) done(); });
      });
    });
  }

  disconnect() {
    return new Promise((done) => this.cometd.disconnect(done));
  }

  status() {
    return this.cometd.getStatus();
  }
}
