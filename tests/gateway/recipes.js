// The recipes of crates/gateway/recipes, as they are, with other ports and paths in the place of those they name.
import assert from 'node:assert/strict';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { scratch } from '../cluster/processes.js';

const RECIPES = new URL('../../crates/gateway/recipes/', import.meta.url);
const PACKAGES = fileURLToPath(new URL('../node/node_modules', import.meta.url));

// The text of a recipe's file. `changes` are pairs of what is there and what comes in its place.
export function recipe(name, changes = []) {
  return changes.reduce((text, [from, to]) => {
    assert.ok(text.includes(from), `${name} has no ${from}`);
    return text.replaceAll(from, to);
  }, readFileSync(new URL(name, RECIPES), 'utf8'));
}

// Writes such a file where it finds the packages of tests/node, and says where it is.
export function cook(name, changes) {
  const folder = scratch();
  symlinkSync(PACKAGES, `${folder}/node_modules`);
  const file = `${folder}/${name.split('/').at(-1)}`;
  writeFileSync(file, recipe(name, changes));
  return file;
}
