import { bytes, count, percent, perSecond, time } from './format.js';

const ROWS = 15;

const COLUMNS = [
  ['Machine busy', 'cpu', (point) => percent(point.machine)],
  ['Machine memory', 'memory', (point) => bytes(point.used)],
  ['Server busy', 'cpu', (point) => percent(point.process)],
  ['Server memory', 'memory', (point) => bytes(point.process)],
  ['Sessions', 'sessions', (point) => count(point.open)],
  ['Subscriptions', 'sessions', (point) => count(point.subscriptions)],
  ['Sent', 'messages', (point) => perSecond(point.sent)],
  ['Received', 'messages', (point) => perSecond(point.received)],
];

// The last values of all topics, in a row what was measured together.
function rows(history) {
  const last = history.sessions.slice(-ROWS).reverse();
  return last.map(({ at }) => {
    const together = (point) => Math.abs(point.at - at) < 500;
    return { at, cells: COLUMNS.map(([, topic, show]) => {
      const point = history[topic].findLast(together);
      return point === undefined ? '–' : show(point);
    }) };
  });
}

export function Values({ history }) {
  return (
    <details className="values">
      <summary>The last values as a table</summary>
      <div className="scroll" tabIndex={0} role="region" aria-label="The last values">
        <table>
          <thead>
            <tr><th scope="col">Time</th>{COLUMNS.map(([name]) => <th key={name} scope="col">{name}</th>)}</tr>
          </thead>
          <tbody>
            {rows(history).map(({ at, cells }) => (
              <tr key={at}>
                <th scope="row">{time(at)}</th>
                {cells.map((cell, index) => <td key={COLUMNS[index][0]}>{cell}</td>)}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
