'use strict';
process.on('message', () => {});
process.send('up');
