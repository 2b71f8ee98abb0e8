// Settings as a file of the gateway says them.

function isTable(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// Strings, numbers, booleans and arrays are written as in JSON; what is a table in an array, within one line.
function inline(value) {
  if (Array.isArray(value)) {
    return `[${value.map(inline).join(', ')}]`;
  }
  if (isTable(value)) {
    return `{ ${Object.entries(value).map(([key, each]) => `${JSON.stringify(key)} = ${inline(each)}`).join(', ')} }`;
  }
  return JSON.stringify(value);
}

export function toml(settings, prefix = []) {
  const own = [];
  const below = [];
  for (const [key, value] of Object.entries(settings).filter(([, value]) => value !== undefined)) {
    const path = [...prefix, key];
    if (isTable(value)) {
      below.push(`\n[${path.join('.')}]\n${toml(value, path)}`);
    } else if (key === 'route') {
      below.push(...value.map((route) => `\n[[${path.join('.')}]]\n${toml(route, path)}`));
    } else {
      own.push(`${JSON.stringify(key)} = ${inline(value)}\n`);
    }
  }
  return own.join('') + below.join('');
}
