#!/usr/bin/env bash
# speedscope 1.25.0, seen on 2026-11-29.
#
# An `X` event of the Trace Event format has a begin and a duration, in microseconds; speedscope adds them as
# doubles to know the end. With nanoseconds behind the point, a child that ends with its parent may end after it
# by that sum: 0.002 + 0.008 is 0.01, and 0.001 + 0.009 is 0.009999999999999998. The end of the parent is then
# dropped with a warning on the console, it stays open to the end of the file, and all that comes later on
# its thread is drawn inside it and counted as its time. speedscope's open issue 487 has it for times since
# 1970; it needs no large numbers.
#
# Output seen (depth, name: from and until in microseconds, counted from the first event):
#   child ends 1 ns before its parent:
#     0 parent: 0.000 to 0.009
#     1 child: 0.001 to 0.008
#     0 later: 0.019 to 0.029
#   child ends with its parent:
#     0 parent: 0.000 to 0.029
#     1 child: 0.001 to 0.009
#     1 later: 0.019 to 0.029
#     says: ts=0.009: Tried to end "parent" when "child" was on the top of the stack. Doing nothing instead.
#     says: Frame "parent" was still open at end of profile. Closing automatically.
#   child ends with its parent, in whole microseconds:
#     0 parent: 0.000 to 9.000
#     1 child: 1.000 to 9.000
#     0 later: 19.000 to 29.000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . speedscope@1.25.0
cat >ask.cjs <<'JS'
const fs = require('node:fs');
const vm = require('node:vm');

// The program of the page, with its importer given a name outside, in a browser that answers anything.
const folder = 'node_modules/speedscope/dist/release/';
const script = fs.readdirSync(folder).find((name) => /^speedscope-.*\.js$/.test(name));
const page = fs.readFileSync(folder + script, 'utf8');
const late = /([\w$]+),\{[^{}]*importProfilesFromArrayBuffer:/.exec(page)[1];
const start = new RegExp(`\\(([\\w$]+)\\(\\),${late.replace(/\$/g, '\\$&')}\\)`).exec(page)[1];
const entry = `self.importer=(...file)=>(${start}(),${late}).importProfilesFromArrayBuffer(...file);`;
const anything = () => new Proxy(function () {}, {
  get: (_, key) => key === Symbol.toPrimitive ? () => '' : key === 'length' ? 0 : anything(),
  set: () => true,
  has: () => true,
  apply: () => anything(),
  construct: () => anything(),
});
let said = [];
const say = (...words) => said.push(words.join(' '));
const browser = {
  TextDecoder, TextEncoder, URL, performance, ArrayBuffer, Uint8Array,
  console: { log() {}, warn: say, error: say },
  location: { protocol: 'file:', hash: '', href: 'file:///' },
  navigator: { userAgent: '', platform: '' },
  document: anything(), localStorage: anything(), matchMedia: anything(),
  addEventListener() {}, setTimeout() {}, requestAnimationFrame() {},
};
browser.window = browser.self = browser;
try {
  vm.runInNewContext(page.replace('(()=>{', () => `(()=>{${entry}`), browser);
} catch {
  // It wants to draw; the importer is there by then.
}

const event = (name, ts, dur) => ({ name, ph: 'X', ts, dur, pid: 1, tid: 1 });
const show = async (...events) => {
  said = [];
  const file = new TextEncoder().encode(JSON.stringify({ traceEvents: events.map((it) => event(...it)) }));
  const { profiles: [profile] } = await browser.importer('made.json', file.buffer);
  const open = [];
  const lines = [];
  profile.forEachCall(
    ({ frame }, at) => open.push(lines.push([open.length, frame.name, at.toFixed(3)]) - 1),
    (_, at) => lines[open.pop()].push(at.toFixed(3)),
  );
  for (const [depth, name, from, until] of lines) console.log(`  ${depth} ${name}: ${from} to ${until}`);
  for (const words of said) console.log(`  says: ${words}`);
};
(async () => {
  console.log('child ends 1 ns before its parent:');
  await show(['parent', 0.001, 0.009], ['child', 0.002, 0.007], ['later', 0.02, 0.01]);
  console.log('child ends with its parent:');
  await show(['parent', 0.001, 0.009], ['child', 0.002, 0.008], ['later', 0.02, 0.01]);
  console.log('child ends with its parent, in whole microseconds:');
  await show(['parent', 1, 9], ['child', 2, 8], ['later', 20, 10]);
})();
JS
node ask.cjs >seen.txt
cat seen.txt
diff seen.txt - <<'END'
child ends 1 ns before its parent:
  0 parent: 0.000 to 0.009
  1 child: 0.001 to 0.008
  0 later: 0.019 to 0.029
child ends with its parent:
  0 parent: 0.000 to 0.029
  1 child: 0.001 to 0.009
  1 later: 0.019 to 0.029
  says: ts=0.009: Tried to end "parent" when "child" was on the top of the stack. Doing nothing instead.
  says: Frame "parent" was still open at end of profile. Closing automatically.
child ends with its parent, in whole microseconds:
  0 parent: 0.000 to 9.000
  1 child: 1.000 to 9.000
  0 later: 19.000 to 29.000
END
