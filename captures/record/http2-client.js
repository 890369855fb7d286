// A WebSocket client over HTTP/2 (node http2, extended CONNECT of RFC 8441) for the recordings: http2-client.js URL
// Sends one message, closes with 1000 after the echo and answers nothing else. Logs what it sent and received.
'use strict';
const http2 = require('http2');
const crypto = require('crypto');
const url = new URL(process.argv[2]);
const log = (what) => console.log(JSON.stringify(what));

const frame = (opcode, payload) => {
  const mask = crypto.randomBytes(4);
  const masked = Buffer.from(payload.map((byte, at) => byte ^ mask[at % 4]));
  return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length]), mask, masked]);
};
const close = (code, reason) => Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)]);

const session = http2.connect(url.origin);
session.on('error', (error) => log({ error: error.message }));
session.on('remoteSettings', (settings) => {
  log({ protocol: session.alpnProtocol, extended_connect: settings.enableConnectProtocol });
  const stream = session.request({
    ':method': 'CONNECT', ':protocol': 'websocket', ':path': url.pathname, 'sec-websocket-version': '13',
  }, { endStream: false });
  stream.on('error', (error) => log({ error: error.message }));
  stream.on('response', (headers) => {
    log({ status: headers[':status'] });
    stream.write(frame(1, Buffer.from('hello')));
  });
  let received = Buffer.alloc(0);
  stream.on('data', (data) => {
    received = Buffer.concat([received, data]);
    // Server frames of this story are unmasked and shorter than 126 bytes.
    while (received.length >= 2 && received.length >= 2 + received[1]) {
      const [opcode, payload] = [received[0] & 15, received.subarray(2, 2 + received[1])];
      received = received.subarray(2 + received[1]);
      if (opcode === 1) {
        log({ received: payload.toString() });
        stream.write(frame(8, close(1000, 'done')));
      }
      if (opcode === 8) {
        log({ closed: payload.length ? payload.readUInt16BE(0) : 1005, reason: payload.subarray(2).toString() });
        // Not stream.end(): Hypercorn 0.18 has forgotten the stream by now and would raise a KeyError.
        setTimeout(() => session.destroy(), 100);
      }
    }
  });
});
setTimeout(() => process.exit(0), 10000).unref();
