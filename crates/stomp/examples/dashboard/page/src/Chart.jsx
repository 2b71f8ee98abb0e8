import { useId, useLayoutEffect, useRef, useState } from 'react';
import { time } from './format.js';

const SPAN_MS = 120_000;
// A line is not drawn over a time in which nothing came.
const GAP_MS = 3_500;
const HEIGHT = 150;
const EDGE = { top: 8, right: 8, bottom: 20, left: 58 };

function useWidth() {
  const ref = useRef(null);
  const [width, setWidth] = useState(320);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(entry.contentRect.width));
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  return [ref, width];
}

// Cuts the points where some are missing.
function pieces(points) {
  const found = [];
  points.forEach((point, index) => {
    if (index === 0 || point.at - points[index - 1].at > GAP_MS) {
      found.push([]);
    }
    found.at(-1).push(point);
  });
  return found;
}

function nearest(points, at) {
  const distance = (point) => Math.abs(point.at - at);
  return points.reduce((best, point) => (distance(point) < distance(best) ? point : best), points[0]);
}

// Lines of up to two series over the two minutes until the last value. `end(highest, last)` is where the axis of values ends.
export function Chart({ title, points, series, format, end }) {
  const [frame, width] = useWidth();
  const [cursor, setCursor] = useState(null);
  const heading = useId();
  const last = points.at(-1);
  const shownFrom = (last?.at ?? 0) - SPAN_MS;
  const shown = points.filter(({ at }) => at >= shownFrom);

  const all = shown.flatMap((point) => series.map(({ value }) => value(point)));
  const top = end(Math.max(0, ...all), last);
  const inner = { width: Math.max(width - EDGE.left - EDGE.right, 1), height: HEIGHT - EDGE.top - EDGE.bottom };
  const x = (at) => EDGE.left + ((at - shownFrom) / SPAN_MS) * inner.width;
  const y = (value) => EDGE.top + (1 - value / top) * inner.height;
  const line = (piece, value) =>
    piece.map((point, i) => `${i ? 'L' : 'M'}${x(point.at).toFixed(1)} ${y(value(point)).toFixed(1)}`).join('');
  const area = (piece, value) =>
    `${line(piece, value)}L${x(piece.at(-1).at).toFixed(1)} ${y(0)}L${x(piece[0].at).toFixed(1)} ${y(0)}Z`;

  const read = cursor === null || shown.length === 0 ? last : nearest(shown, shownFrom + cursor * SPAN_MS);
  const point = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    setCursor((event.clientX - box.left - EDGE.left) / inner.width);
  };
  const summary = series.map(({ name, value }) => {
    const values = shown.map(value);
    return last === undefined
      ? `${name}: nothing yet`
      : `${name}: ${format(value(last))}, between ${format(Math.min(...values))} and ${format(Math.max(...values))}`;
  });

  return (
    <figure className="chart" aria-labelledby={heading}>
      <figcaption>
        <h3 id={heading}>{title}</h3>
        <dl>
          {series.map(({ name, value }, index) => (
            <div key={name}>
              <dt>
                {series.length > 1 && <svg className="key" aria-hidden="true"><line className={`line line-${index}`} x1="1" x2="21" y1="5" y2="5" /></svg>}
                {name}
              </dt>
              <dd>{read === undefined ? '–' : format(value(read))}</dd>
            </div>
          ))}
        </dl>
        <p className="when">{read !== undefined && read !== last && <time>{time(read.at)}</time>}</p>
      </figcaption>
      <div ref={frame}>
        <svg
          width={width} height={HEIGHT} role="img" aria-label={`Two minutes. ${summary.join('; ')}`}
          onPointerMove={point} onPointerLeave={() => setCursor(null)}
        >
          {[0, 0.5, 1].map((part) => (
            <g key={part} className="grid">
              <line x1={EDGE.left} x2={width - EDGE.right} y1={y(part * top)} y2={y(part * top)} />
              <text x={EDGE.left - 6} y={y(part * top)} dy="0.32em" textAnchor="end">{format(part * top)}</text>
            </g>
          ))}
          {last !== undefined && [['start', 0], ['middle', 0.5], ['end', 1]].map(([anchor, part]) => (
            <text key={part} x={EDGE.left + part * inner.width} y={HEIGHT - 4} textAnchor={anchor}>
              {time(shownFrom + part * SPAN_MS)}
            </text>
          ))}
          {series.map(({ name, value }, index) => pieces(shown).map((piece) => (
            <g key={`${name} ${piece[0].at}`}>
              {index === 0 && <path className="area" d={area(piece, value)} />}
              <path className={`line line-${index}`} d={line(piece, value)} />
            </g>
          )))}
          {cursor !== null && read !== undefined && (
            <g className="cursor">
              <line x1={x(read.at)} x2={x(read.at)} y1={EDGE.top} y2={EDGE.top + inner.height} />
              {series.map(({ name, value }, index) => (
                <circle key={name} className={`dot-${index}`} cx={x(read.at)} cy={y(value(read))} r="4" />
              ))}
            </g>
          )}
        </svg>
      </div>
    </figure>
  );
}
