#!/usr/bin/env bash
# @firefox-devtools/profiler-cli 0.10.0, seen on 2026-11-29.
#
# The command asks a daemon over a Unix socket, and turns each piece that comes into text by itself. A character
# of several bytes that lies across two pieces becomes two or three U+FFFD: the JSON is well-formed, the exit
# code 0, and the text another one. How many are torn differs from one call to the next, and a profile whose
# answer fits one piece (some 64 KiB) shows nothing. The profile itself is read right.
#
# Output seen (the last number differs; of an answer of 1.6 million characters it was 2 to 11):
#   U+FFFD in the profile: 0
#   U+FFFD in an answer: up to 8
set -euo pipefail
folder=$(mktemp -d)
trap 'node "$cli" stop --all >"$folder/stopped" 2>&1 || true; rm -rf "$folder"' EXIT
cli=$folder/node_modules/@firefox-devtools/profiler-cli/dist/profiler-cli.js
cd "$folder"
export HOME=$folder PROFILER_CLI_SESSION_DIR=$folder
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . @firefox-devtools/profiler-cli@0.10.0
cat >make.cjs <<'JS'
const text = (n) => 'x'.repeat(n % 7) + '\u2071'.repeat(20);
const event = (n) => ({ name: `m${n}`, ph: 'X', cat: 'c', pid: 1, tid: 1, ts: 10 * n, dur: 5,
  args: { data: { text: text(n) } } });
const traceEvents = Array.from({ length: 4000 }, (_, n) => event(n));
require('node:fs').writeFileSync('trace.json', JSON.stringify({ traceEvents }));
JS
cat >count.cjs <<'JS'
const said = require('node:fs').readFileSync(process.argv[2], 'utf8');
console.log((said.match(/\ufffd/g) ?? []).length);
JS
node make.cjs
node "$cli" load trace.json >loaded
in_profile=$(node count.cjs trace.json)
torn=0
for _ in 1 2 3 4 5 6 7 8; do
    node "$cli" profile markers --json --limit 100000 >answer.json
    now=$(node count.cjs answer.json)
    torn=$((torn > now ? torn : now))
done
echo "U+FFFD in the profile: $in_profile"
echo "U+FFFD in an answer: up to $torn"
[[ $in_profile == 0 && $torn -gt 0 ]]
