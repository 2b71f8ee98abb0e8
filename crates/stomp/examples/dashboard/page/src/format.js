// Numbers for people.

const one = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const two = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const decimal = (value) => (value < 1 ? two : one).format(value);
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

function power(bytes) {
  return bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length - 1);
}

export const count = decimal;
export const percent = (value) => `${decimal(value)} %`;
export const perSecond = (value) => `${decimal(value)} /s`;
export const time = (at) => clock.format(at);

export function bytes(value) {
  const unit = power(value);
  return `${decimal(value / 1024 ** unit)} ${UNITS[unit]}`;
}

// The first of 1, 2, 5, 10, 20, … that is not below the value.
function roundUp(value) {
  const magnitude = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((step) => step * magnitude >= value || step === 10) * magnitude;
}

// Where an axis ends that shows this value and starts at zero.
export const axisEnd = {
  // The half of it is a whole number, too.
  count: (value) => 2 * roundUp(Math.max(value, 4) / 2),
  percent: (value) => Math.min(roundUp(Math.max(value, 0.5)), 100),
  bytes: (value) => {
    const unit = 1024 ** power(value);
    return roundUp(Math.max(value / unit, 1)) * unit;
  },
};
