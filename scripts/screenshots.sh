#!/usr/bin/env bash
# Pictures of each view of a report, on wide and narrow screens, in light and in dark.
#
#   scripts/screenshots.sh FOLDER [PROFILE]
#
# Without a profile the example `shop` records one. Wants Chromium: $SPANDREL_CHROMIUM, or one by its
# usual names. Look at the pictures: nothing here judges them.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C

[[ $# -ge 1 && $# -le 2 ]] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
mkdir -p "$1"
folder=$(realpath "$1")
profile=$(realpath "${2:-$folder/shop.db}")
cd "$(dirname "$0")/.."

browser=${SPANDREL_CHROMIUM:-}
for name in chromium chromium-browser google-chrome chrome; do
    [[ -n $browser ]] || browser=$(command -v "$name" || true)
done
[[ -n $browser ]] || { echo "no Chromium here; install it, or set SPANDREL_CHROMIUM" >&2; exit 1; }

if [[ $# -eq 1 ]]; then
    rm -f "$profile" "$profile"-*
    for label in "before the index" "cart load"; do
        cargo run --quiet --locked --release --package spandrel-examples --example shop -- \
            5 "$profile" "$label" >/dev/null
    done
fi
baseline=()
[[ $# -eq 2 ]] || baseline=(--baseline latest~1)
cargo run --quiet --locked --release --package spandrel-cli -- \
    --db "$profile" report --output "$folder/report.html" "${baseline[@]}"

user=$(mktemp -d)
trap 'rm -rf "$user"' EXIT
# shoot URL WIDTH HEIGHT FILE
shoot() {
    timeout 60 "$browser" --headless=new --no-sandbox --disable-gpu --hide-scrollbars \
        --user-data-dir="$user" --window-size="$2,$3" --virtual-time-budget=5000 \
        --screenshot="$4" "$1" >/dev/null 2>&1
    echo "$4"
}
views=(overview flame time sandwich trace heatmap)
[[ $# -eq 2 ]] || views+=(diff)
for view in "${views[@]}"; do
    for theme in light dark; do
        hash="view=$view&theme=$theme"
        shoot "file://$folder/report.html#$hash" 1280 900 "$folder/$view-$theme.png"
        # A window is 500 pixels wide at least; a frame is as narrow as one likes.
        echo "<body style='margin:0'><iframe style='border:0' width=390 height=844
            src='report.html#${hash//&/&amp;}'></iframe>" >"$folder/narrow.html"
        shoot "file://$folder/narrow.html" 500 844 "$folder/$view-$theme-narrow.png"
    done
done
rm "$folder/narrow.html"
