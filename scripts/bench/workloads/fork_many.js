'use strict';
const { fork } = require('child_process');
const { join } = require('path');

const count = Number(process.argv[2]);
const worker = join(__dirname, 'fork_worker.js');
const children = [];
let left = count;
const start = process.hrtime.bigint();
for (let i = 0; i < count; i++) {
  const child = fork(worker);
  children.push(child);
  child.once('message', () => {
    if (--left > 0) return;
    console.log(Number(process.hrtime.bigint() - start) / 1e6);
    for (const one of children) one.disconnect();
  });
}
