//! An input as steps of four bytes each, and how inputs change so that steps stay steps.

/// The length of a step.
pub const CELL: usize = 4;

/// What an input begins with.
#[derive(Clone, Copy)]
pub struct Settings(pub [u8; 8]);

/// One step: what is done, and three bytes that say how.
#[derive(Clone, Copy)]
pub struct Cell {
    pub kind: u8,
    pub a: u8,
    pub b: u8,
    pub c: u8,
}

/// The steps of an input.
pub struct Cells<'a>(&'a [u8]);

impl<'a> Cells<'a> {
    pub fn new(data: &'a [u8]) -> (Settings, Self) {
        let mut settings = [0; 8];
        let taken = data.len().min(settings.len());
        settings[..taken].copy_from_slice(&data[..taken]);
        (Settings(settings), Self(&data[taken..]))
    }

    /// The bytes behind a step, in whole cells.
    pub fn raw(&mut self, length: usize) -> &'a [u8] {
        let taken = self.0.len().min(length);
        let raw = &self.0[..taken];
        self.0 = &self.0[self.0.len().min(length.next_multiple_of(CELL))..];
        raw
    }
}

impl Iterator for Cells<'_> {
    type Item = Cell;

    fn next(&mut self) -> Option<Cell> {
        let (&[kind, a, b, c], rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(Cell { kind, a, b, c })
    }
}

/// Xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound.max(1)
    }
}

/// Changes an input: its bytes as those of any, or its steps.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut random = Random(u64::from(seed) << 16 | 1);
    random.below(1);
    if size < 8 + CELL || random.below(4) == 0 {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    let mut bytes = data[..size].to_vec();
    for _ in 0..=random.below(4) {
        change(&mut bytes, &mut random);
    }
    bytes.truncate(max_size);
    data[..bytes.len()].copy_from_slice(&bytes);
    bytes.len()
}

fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    let cells = (bytes.len().max(8) - 8) / CELL;
    if cells == 0 {
        return;
    }
    let at = |cell: usize| 8 + cell * CELL;
    let from = random.below(cells);
    let length = 1 + random.below((cells - from).min(6));
    let range = at(from)..at(from + length);
    match random.below(10) {
        // A new step, of a client that has done something already.
        0 | 1 => {
            let clients = 2 + random.below(3);
            let cell = [random.below(32), random.below(clients), random.below(256), random.below(256)];
            let place = at(random.below(cells + 1));
            bytes.splice(place..place, cell.map(|byte| byte as u8));
        }
        // Some again, elsewhere.
        2 => {
            let copy = bytes[range].to_vec();
            let place = at(random.below(cells + 1));
            bytes.splice(place..place, copy);
        }
        3 => {
            bytes.drain(range);
        }
        // Some of another client's.
        4 => {
            let client = random.below(4) as u8;
            for cell in bytes[range].chunks_exact_mut(CELL) {
                cell[1] = client;
            }
        }
        5 => {
            let other = at(random.below(cells));
            for byte in 0..CELL {
                bytes.swap(at(from) + byte, other + byte);
            }
        }
        // Other settings.
        6 => {
            let place = random.below(8);
            bytes[place] = random.below(256) as u8;
        }
        _ => {
            let place = at(from) + random.below(CELL);
            bytes[place] = match random.below(3) {
                0 => bytes[place] ^ 1 << random.below(8),
                1 => bytes[place].wrapping_add(1),
                _ => random.below(256) as u8,
            };
        }
    }
}
