'use strict';
const { spawn } = require('child_process');

let bytes = 0;
const start = process.hrtime.bigint();
const child = spawn('head', ['-c', '500000000', '/dev/zero']);
child.stdout.on('data', (chunk) => { bytes += chunk.length; });
child.on('close', () => {
  console.log(bytes / 1e6 / (Number(process.hrtime.bigint() - start) / 1e9));
});
