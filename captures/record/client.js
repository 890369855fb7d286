// A WebSocket client (npm ws) for the recordings: client.js URL [MESSAGE [MILLISECONDS]]
// Sends one message and, when milliseconds are given, closes with 1000 after them. Logs what its API reports.
'use strict';
const { WebSocket } = require('ws');
const [, , url, message = 'hello', after] = process.argv;
const log = (what) => console.log(JSON.stringify(what));

const socket = new WebSocket(url, { perMessageDeflate: false, handshakeTimeout: 5000 });
socket.on('open', () => {
  socket.send(message);
  if (after) setTimeout(() => socket.close(1000, 'done'), Number(after));
});
socket.on('message', (data) => log({ received: data.toString() }));
socket.on('error', (error) => log({ error: error.message }));
socket.on('close', (code, reason) => log({ closed: code, reason: reason.toString() }));
setTimeout(() => process.exit(0), 20000).unref();
