// Asks speedscope's own importer: `node speedscope.cjs FOLDER FILE` prints a line of JSON for each profile
// that it makes of the file: its name, its unit, and its calls (frame, depth, from, until).
//
// FOLDER holds the page of speedscope; its program is one script, which starts the page when it is run.
// Here there is no page: what stands for the browser answers anything, and the importer, which no name
// leads to, is found by what it says before it begins.
const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');

const [folder, file] = process.argv.slice(2);
const begins = /"Importing as speedscope json file"\),(\w+)\(/;
const read = (name) => fs.readFileSync(path.join(folder, name), 'utf8');
const scripts = fs.readdirSync(folder).filter((name) => name.endsWith('.js')).map(read);
const page = scripts.find((script) => begins.test(script));
if (!page) throw new Error('no script of the page says that it imports');
const importer = begins.exec(page)[1];
const program = page.replace('(()=>{', `(()=>{self.importer=(file)=>${importer}(file);`);

const anything = () => new Proxy(function () {}, {
  get: (_, key) => key === Symbol.toPrimitive ? () => '' : key === 'length' ? 0 : anything(),
  set: () => true,
  has: () => true,
  apply: () => anything(),
  construct: () => anything(),
});
const silent = { log() {}, warn() {}, error() {} };
const browser = {
  TextDecoder, TextEncoder, URL, performance, console: silent,
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
const group = browser.importer(JSON.parse(fs.readFileSync(file, 'utf8')));
for (const profile of group.profiles) {
  const [calls, open] = [[], []];
  profile.forEachCall(
    (node, value) => open.push([node.frame.name, open.length, value]),
    (_, value) => calls.push([...open.pop(), value]),
  );
  const row = { name: profile.getName(), unit: profile.getWeightUnit(), calls };
  process.stdout.write(`${JSON.stringify(row)}\n`);
}
