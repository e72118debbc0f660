// A forked child sends messages as fast as they are taken, a batch (at most
// 1 MiB of strings) after the callback of the last; prints messages a second.
// Arguments: serialization, count, 'small' or bytes of a string.

'use strict';
const { fork } = require('child_process');

const [, , serialization, countText, kind] = process.argv;
const count = Number(countText);

if (process.send) {
  const message = kind === 'small' ? { id: 12345, cmd: 'update', data: 'x'.repeat(26) } : 'x'.repeat(Number(kind));
  const batch = kind === 'small' ? 1000 : Math.max(1, Math.floor(1048576 / message.length));
  let sent = 0;
  const sendMore = () => {
    while (sent < count) {
      sent++;
      if (sent % batch === 0) return process.send(message, sendMore);
      process.send(message);
    }
  };
  process.once('message', sendMore);
} else {
  const child = fork(__filename, [serialization, countText, kind], { serialization });
  let received = 0;
  let start;
  child.on('message', () => {
    if (++received === count) {
      console.log((count / Number(process.hrtime.bigint() - start)) * 1e9);
      child.disconnect();
    }
  });
  setTimeout(() => {
    start = process.hrtime.bigint();
    child.send('go');
  }, 300);
}
