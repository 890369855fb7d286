// A WebSocket server (npm ws) for the recordings: server.js MODE PORT
// Logs, as JSON lines, what its API reports of every connection.
'use strict';
const { WebSocketServer } = require('ws');
const [mode, port] = [process.argv[2], Number(process.argv[3])];
const log = (what) => console.log(JSON.stringify(what));

const server = new WebSocketServer({ port, path: mode === 'feed-only' ? '/feed' : undefined });
server.on('listening', () => log({ listening: port, mode }));
server.on('wsClientError', (error) => log({ upgrade_refused: error.message }));
server.on('connection', (socket, request) => {
  const path = request.url;
  log({ path, upgraded: true });
  socket.on('message', (data, binary) => socket.send(binary ? data : `echo ${data}`));
  socket.on('close', (code, reason) => log({ path, closed: code, reason: reason.toString() }));
  socket.on('error', (error) => log({ path, error: error.message }));
  // How this server ends a connection: by the mode, or, in the demo, by the path.
  const how = mode === 'demo' ? path.slice(1) : mode;
  if (how === 'no-status') setTimeout(() => socket.close(), 300);
  if (how === 'terminate') setTimeout(() => socket.terminate(), 300);
  if (how === 'reset') setTimeout(() => socket._socket.resetAndDestroy(), 300);
  if (how === 'ping') socket.ping('are you there');
});
