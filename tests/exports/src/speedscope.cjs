// Asks speedscope's own importer: `node speedscope.cjs FOLDER FILE` prints a line of JSON for each profile
// that it makes of the file: its name, its unit, its calls (frame, depth, from, until), and how much time
// each frame has for itself and in all. The importer finds out by itself what the file is.
//
// FOLDER holds the page of speedscope; its program is one script, which starts the page when it is run.
// Here there is no page: what stands for the browser answers anything, and the importer is found by its
// name, which the page has for what it loads late.
const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');

const [folder, file] = process.argv.slice(2);
const read = (name) => fs.readFileSync(path.join(folder, name), 'utf8');
const scripts = fs.readdirSync(folder).filter((name) => name.endsWith('.js')).map(read);
const LATE = /([\w$]+),\{[^{}]*importProfilesFromArrayBuffer:/;
const page = scripts.find((script) => LATE.test(script));
if (!page) throw new Error('no script of the page says that it imports');
const late = LATE.exec(page)[1];
const start = new RegExp(`\\(([\\w$]+)\\(\\),${late.replace(/\$/g, '\\$&')}\\)`).exec(page)[1];
const entry = `self.importer=(...file)=>(${start}(),${late}).importProfilesFromArrayBuffer(...file);`;
const program = page.replace('(()=>{', () => `(()=>{${entry}`);

const anything = () => new Proxy(function () {}, {
  get: (_, key) => key === Symbol.toPrimitive ? () => '' : key === 'length' ? 0 : anything(),
  set: () => true,
  has: () => true,
  apply: () => anything(),
  construct: () => anything(),
});
// What it could not make sense of is a failure here.
const said = [];
const listen = { log() {}, warn: (...words) => said.push(words.join(' ')), error: (...words) => said.push(words.join(' ')) };
const browser = {
  TextDecoder, TextEncoder, URL, performance, console: listen, ArrayBuffer, Uint8Array,
  location: { protocol: 'file:', hash: '', href: 'file:///' },
  navigator: { userAgent: '', platform: '' },
  document: anything(), localStorage: anything(), matchMedia: anything(),
  addEventListener() {}, setTimeout() {}, requestAnimationFrame() {},
};
browser.window = browser.self = browser;
try {
  vm.runInNewContext(program, browser);
} catch {
  // The page gives up when it wants to draw; what imports is there by then, or the next line fails.
}

(async () => {
  said.length = 0;
  const bytes = fs.readFileSync(file);
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const group = await browser.importer(path.basename(file), buffer);
  if (!group) throw new Error('speedscope does not know what it is');
  // It tells of unfinished spans, which it closes at the end, and of ends that say more than their begins.
  const isKnown = (words) => /still open at end|^ts=[^ ]+: Tried to end .* Ending .* instead\.$/s.test(words);
  const odd = said.filter((words) => !isKnown(words));
  if (odd.length > 0) throw new Error(odd.slice(0, 5).map((words) => words.slice(0, 500)).join('\n'));
  let out = `${JSON.stringify({ name: group.name, shown: group.indexToView })}\n`;
  for (const profile of group.profiles) {
    const [calls, open, frames] = [[], [], []];
    profile.forEachCall(
      (node, value) => open.push([node.frame.name, open.length, value]),
      (_, value) => calls.push([...open.pop(), value]),
    );
    profile.forEachFrame((frame) => frames.push(
      [frame.name, frame.getSelfWeight(), frame.getTotalWeight(), frame.file ?? null, frame.line ?? null]));
    const [name, unit, weight] = [profile.getName(), profile.getWeightUnit(), profile.getTotalWeight()];
    out += `${JSON.stringify({ name, unit, weight, calls, frames })}\n`;
  }
  process.stdout.write(out, () => process.exit(0));
})().catch((error) => {
  process.stderr.write(`${error.stack ?? error}\n`);
  process.exit(1);
});
