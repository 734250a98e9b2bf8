#!/usr/bin/env bash
# Renders the streams of this experiment below a folder (default runs/splices/videos), 2 minutes each at 1 frame/s, and
# caches their latents beside it. The same seed gives the same houses and walks in every condition of a split.
set -euo pipefail
out=${1:-runs/splices}

walk=(--transition walk)
cut=(--transition cut)
jump=(--transition walk --decoy jump)
flash=(--transition walk --decoy flash)
exposure=(--transition walk --decoy exposure)
cutjump=(--transition cut --decoy jump)

render() { # split seed n condition flags...
    local split=$1 seed=$2 n=$3 condition=$4
    shift 4
    ssm-sense world render --out "$out/videos/$split/$condition" --split "$split" --seed "$seed" --n "$n" \
        --minutes 2 --size 128 --workers "${WORKERS:-1}" --force "$@" >/dev/null
}

for condition in walk cut; do
    declare -n flags=$condition
    render train 11 40 "$condition" --task vsc "${flags[@]}"
done
for condition in walk cut jump flash exposure cutjump; do
    declare -n flags=$condition
    render val 12 12 "$condition" --task vsc "${flags[@]}"
    render test 13 24 "$condition" --task vsc "${flags[@]}"
done
# Tours hold eight needles in two minutes, in the same places however they are shown.
for needle in object paste; do
    for frames in 1 6; do
        render test 13 24 "$needle$frames" --task tour --needle "$needle" --needle-frames "$frames"
    done
done
ssm-sense features extract --videos "$out/videos" --encoder ssm_sense/tiny/weights/siglip \
    --layer -1 --pooling average --grid 2 --out "$out/features"
