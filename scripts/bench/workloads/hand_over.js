// Accepts connections and sends each to a forked child, which answers it;
// prints the microseconds of CPU that both took for one. Arguments: count, the
// mwrun whose client connects.

'use strict';
const { fork, spawn } = require('child_process');
const net = require('net');
const path = require('path');

function cpu() {
  const usage = process.cpuUsage();
  return usage.user + usage.system;
}

if (process.send) {
  const before = cpu();
  process.on('message', (message, socket) => {
    if (message === 'socket') {
      if (socket) socket.end('x');
    } else {
      process.send(cpu() - before);
    }
  });
} else {
  const [, , count, mwrun] = process.argv;
  const child = fork(__filename);
  const server = net.createServer({ pauseOnConnect: true }, (socket) => {
    child.send('socket', socket);
  });
  server.listen(0, '127.0.0.1', () => {
    setTimeout(() => {
      const before = cpu();
      const script = path.join(__dirname, 'connect.lua');
      const client = spawn(mwrun, [script, String(server.address().port), count], { stdio: 'inherit' });
      client.on('exit', () => {
        child.on('message', (cpuOfChild) => {
          console.log((cpu() - before + cpuOfChild) / Number(count));
          child.disconnect();
          server.close();
        });
        child.send('report');
      });
    }, 300);
  });
}
