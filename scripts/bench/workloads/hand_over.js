// Hands connections to a forked child, 200 at a time; prints the microseconds
// of CPU that both processes took for one, from `send` to the object that the
// child gets. Argument: count.

'use strict';
const { fork } = require('child_process');
const { once } = require('events');
const net = require('net');

function cpu() {
  const usage = process.cpuUsage();
  return usage.user + usage.system;
}

function serveAsChild() {
  let before;
  let sockets = [];
  process.on('message', (message, socket) => {
    if (message === 'socket') {
      sockets.push(socket);
    } else if (message === 'begin') {
      before = cpu();
      process.send('ready');
    } else {
      process.send(cpu() - before);
      for (const one of sockets) one.destroy();
      sockets = [];
    }
  });
}

async function main() {
  const batch = 200;
  const child = fork(__filename);
  let accepted = [];
  const server = net.createServer({ pauseOnConnect: true }, (socket) => accepted.push(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  async function runBatch() {
    const clients = [];
    accepted = [];
    for (let index = 0; index < batch; index++) {
      const client = net.connect(server.address().port, '127.0.0.1');
      client.on('error', () => {});
      clients.push(client);
    }
    while (accepted.length < batch) await new Promise((resolve) => setTimeout(resolve, 1));
    child.send('begin');
    await once(child, 'message');
    const before = cpu();
    for (const socket of accepted) child.send('socket', socket);
    child.send('end');
    const [cpuOfChild] = await once(child, 'message');
    const spent = cpu() - before + cpuOfChild;
    for (const client of clients) client.destroy();
    return spent;
  }

  let spent = 0;
  const batches = Math.floor(Number(process.argv[2]) / batch);
  for (let index = 0; index < batches; index++) spent += await runBatch();
  console.log(spent / (batches * batch));
  child.disconnect();
  server.close();
}

if (process.send) serveAsChild();
else main();
