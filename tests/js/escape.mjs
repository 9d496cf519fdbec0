// Runs what the comet encoders wrote, in a JavaScript engine, and compares what it means with what it ought to.
// Standard input: a case a line, `KIND EXPECTED OUTPUT`, both in hex. KIND is `literal` (the value of an expression, and
// of a JSON text), `jsonp` (what a script calls `app.news` with) or `frame` (what the scripts of an HTML document
// call `parent.app.news` with, or post to the parent). EXPECTED is the text, or for the last two the texts as JSON.

import { createInterface } from "node:readline";
import { createContext, runInContext } from "node:vm";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const decode = (hex) => decoder.decode(Buffer.from(hex, "hex"));

// A page whose function notes what it is called with. Nothing else is there to be called.
function page() {
  const events = [];
  const note = (event) => events.push(event);
  const app = { news: note };
  const context = createContext({ app, parent: { app, postMessage: note } });
  const run = (script) => runInContext(script, context, { timeout: 1000 });
  return { run, events };
}

// What an HTML tokenizer hands to the script engine (HTML 13.2.5.4, 13.2.5.15 to 13.2.5.17): a script lasts until
// `</script` followed by white space, `/` or `>`. `<!--` would begin another state; it must not occur at all.
function scripts(html) {
  const found = [];
  let rest = html;
  for (;;) {
    const start = rest.indexOf("<script>");
    if (start < 0) return found;
    rest = rest.slice(start + "<script>".length);
    const end = rest.search(/<\/script[\t\n\f\r \/>]/i);
    if (end < 0) throw new Error("a script has no end");
    const script = rest.slice(0, end);
    if (/<!--|<script/i.test(script)) throw new Error("a script that HTML sees into");
    found.push(script);
    rest = rest.slice(end);
  }
}

function same(actual, expected, what) {
  if (actual !== expected) {
    throw new Error(`${what}: ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`);
  }
}

const kinds = {
  literal(expected, output) {
    same(page().run(`(${output})`), expected, "as an expression");
    same(JSON.parse(output), expected, "as JSON");
  },
  jsonp(expected, output) {
    const { run, events } = page();
    run(output);
    same(events.length, 1, "calls");
    same(JSON.stringify(events[0].messages.map(({ data }) => data)), JSON.stringify(JSON.parse(expected)), "texts");
    same(events[0].cursor, events[0].messages.at(-1).id, "cursor");
  },
  frame(expected, output) {
    const { run, events } = page();
    scripts(output).forEach(run);
    same(JSON.stringify(events.map(({ data }) => data)), JSON.stringify(JSON.parse(expected)), "texts");
    events.forEach(({ id }, at) => same(id, at + 1, "number"));
  },
};

let count = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const [kind, expected, output] = line.split(" ");
  try {
    kinds[kind](decode(expected), decode(output));
  } catch (error) {
    console.log(`${kind} ${decode(output)}: ${error.message}`);
    process.exit(1);
  }
  count += 1;
}
console.log(`${count} passed`);
