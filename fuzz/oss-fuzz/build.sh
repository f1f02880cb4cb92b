#!/bin/bash -eu
# Builds every target of package fuzz for OSS-Fuzz, from the root of the project.
# OUT takes the fuzzers, their dictionaries and their zipped seeds, WORK what lies
# in between. The seeds are the test kit, made anew. SEEDS_ONLY=1 leaves the
# fuzzers out, so that the rest can be tried without the OSS-Fuzz image.
kit=$WORK/kit
rm -rf "$kit" && mkdir -p "$kit"
go run ./testdata/generate "$kit"

while read -r target dictionary folders; do
  case $target in '' | '#'*) continue ;; esac
  if [ -z "${SEEDS_ONLY:-}" ]; then
    compile_native_go_fuzzer_v2 github.com/vouchmill/vouchmill/fuzz "$target" "$target"
  fi
  if [ "$dictionary" != - ]; then
    cp "fuzz/oss-fuzz/$dictionary.dict" "$OUT/$target.dict"
  fi
  if [ -n "$folders" ]; then
    # Folder names with spaces between them, so not in quotes.
    (cd "$kit" && zip -q -r "$OUT/${target}_seed_corpus.zip" $folders)
  fi
done <fuzz/oss-fuzz/targets.txt
