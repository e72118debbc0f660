// Small messages go to a forked child and come back, one at a time; prints
// round trips a second. Arguments: serialization, count.

'use strict';
const { fork } = require('child_process');

const [, , serialization, countText] = process.argv;

if (process.send) {
  process.on('message', (message) => process.send(message));
} else {
  const count = Number(countText);
  const message = { id: 12345, cmd: 'update', data: 'x'.repeat(26) };
  const child = fork(__filename, [], { serialization });
  let received = -1000; // the first thousand do not count
  let start;
  child.on('message', () => {
    received++;
    if (received === 0) {
      start = process.hrtime.bigint();
    } else if (received === count) {
      console.log((count / Number(process.hrtime.bigint() - start)) * 1e9);
      return child.disconnect();
    }
    child.send(message);
  });
  child.send(message);
}
