// npm's faye server, as its documentation sets it up. usage: node faye-server.mjs PORT

import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const { NodeAdapter } = createRequire(import.meta.url)('faye');
const server = createServer();
new NodeAdapter({ mount: '/cometd', timeout: 30 }).attach(server);
server.listen(Number(process.argv[2]), '127.0.0.1');
