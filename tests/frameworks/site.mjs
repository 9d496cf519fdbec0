// A site of its own origin: pages and scripts from memory, for clients that talk to the examples across origins.

import { createServer } from 'node:http';

const TYPES = { js: 'text/javascript; charset=utf-8', html: 'text/html; charset=utf-8' };

/** Serves these texts by their paths; gives the origin, and a way to end. */
export async function site(files) {
  const server = createServer((request, response) => {
    const path = new URL(request.url, 'http://x').pathname;
    const text = files[path];
    response.writeHead(text === undefined ? 404 : 200, { 'Content-Type': TYPES[path.split('.').at(-1)] ?? TYPES.html });
    response.end(text ?? '');
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return { origin: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}
