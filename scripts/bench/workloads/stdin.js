'use strict';
const { spawn } = require('child_process');
const { once } = require('events');

const chunk = Buffer.alloc(50000, 'x');
const start = process.hrtime.bigint();
const child = spawn('sh', ['-c', 'exec cat > /dev/null']);
child.on('close', () => {
  console.log(500 / (Number(process.hrtime.bigint() - start) / 1e9));
});

(async () => {
  for (let i = 0; i < 10000; i++) {
    if (!child.stdin.write(chunk)) await once(child.stdin, 'drain');
  }
  child.stdin.end();
})();
