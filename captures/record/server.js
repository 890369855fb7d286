// A WebSocket server (npm ws) for the recordings: server.js MODE PORT [FOLDER CERTIFICATE]
// With a folder of certificates it speaks TLS; in mode "client-certificate" it asks the client for one of the same authority.
// Logs, as JSON lines, what its API reports of every connection.
'use strict';
const fs = require('fs');
const https = require('https');
const { WebSocketServer } = require('ws');
const [mode, port, folder, certificate] = [process.argv[2], Number(process.argv[3]), process.argv[4], process.argv[5]];
const log = (what) => console.log(JSON.stringify(what));

const overTls = () => {
  const asked = mode === 'client-certificate';
  const secure = https.createServer({
    cert: fs.readFileSync(`${folder}/${certificate}.pem`),
    key: fs.readFileSync(`${folder}/${certificate}.key`),
    ca: asked ? fs.readFileSync(`${folder}/ca.pem`) : undefined,
    requestCert: asked,
  });
  secure.on('tlsClientError', (error) => log({ tls_failed: error.code }));
  return secure.listen(port);
};
const server = new WebSocketServer({
  ...(folder ? { server: overTls() } : { port }),
  path: mode === 'feed-only' ? '/feed' : undefined,
});
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
