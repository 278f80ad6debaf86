// Asks Perfetto's own trace processor: `node trace_processor.mjs FOLDER TRACE QUERY...` prints a line
// for each query: its rows as JSON, with numbers as text, since they may be longer than a double.
//
// FOLDER holds the trace processor as WebAssembly (`trace_processor.wasm`), the code that Emscripten and
// Perfetto put around it for a web worker (`engine_bundle.node.js`), and the client that the user interface
// talks to it with (`engine.mjs`). What a web worker has and node has not is given to them here.
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import vm from 'node:vm';

const [folder, trace, ...queries] = process.argv.slice(2);
const file = (name) => path.resolve(folder, name);
const wasm = new Uint8Array(fs.readFileSync(file('trace_processor.wasm'))).buffer;

// The worker asks with a tiny module whether memory has 64-bit addresses; the file is the one for 32 bits.
WebAssembly.Module = new Proxy(WebAssembly.Module, {
  construct(target, [bytes, ...rest]) {
    const [MEMORY_SECTION, IS_64_BIT] = [5, 4];
    if (bytes[8] === MEMORY_SECTION && bytes[11] === IS_64_BIT) throw new Error('no memory64');
    return new target(bytes, ...rest);
  },
});
globalThis.self = globalThis;
globalThis.location = { href: pathToFileURL(file('/')).href };
globalThis.WorkerGlobalScope = class {};
globalThis.XMLHttpRequest = class {
  open() {}
  send() { this.response = wasm; }
};
const said = [];
console.log = console.warn = console.error = (line) => said.push(line);

const channel = new MessageChannel();
vm.runInThisContext(fs.readFileSync(file('engine_bundle.node.js'), 'utf8'));
self.onmessage({ data: channel.port1 });
const { EngineBase } = await import(pathToFileURL(file('engine.mjs')));
class Engine extends EngineBase {
  constructor() {
    super();
    channel.port2.onmessage = (message) => this.onRpcResponseBytes(message.data);
  }
  rpcSendRequestBytes(bytes) { channel.port2.postMessage(bytes); }
}

const fail = (error) => {
  process.stderr.write(`${error.stack ?? error}\n${said.join('\n')}\n`);
  process.exit(1);
};
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);

const engine = new Engine();
await engine.parse(new Uint8Array(fs.readFileSync(trace)));
await engine.notifyEof();
let out = '';
for (const query of queries) {
  const result = await engine.query(query);
  if (result.error()) fail(result.error());
  const rows = [];
  for (const row = result.iter({}); row.valid(); row.next()) {
    const cells = result.columns().map((column) => row.get(column));
    rows.push(cells.map((cell) => cell === null ? null : String(cell)));
  }
  out += `${JSON.stringify(rows)}\n`;
}
process.stdout.write(out, () => process.exit(0));
