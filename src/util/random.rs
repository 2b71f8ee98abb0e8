//! Random bytes from the operating system, fetched for many uses at once: a system call for each would cost more than
//! its use.

use std::cell::RefCell;

use uuid::{Builder, Uuid};

const POOL: usize = 512;

thread_local! {
    static UNUSED: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; POOL], left: 0 }) };
}

/// Random bytes, of which the first `left` are unused.
struct Pool {
    bytes: [u8; POOL],
    left: usize,
}

impl Pool {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        const { assert!(N <= POOL) };
        if self.left < N {
            // Nothing can continue safely without randomness.
            getrandom::fill(&mut self.bytes).expect("the operating system gives random bytes");
            self.left = POOL;
        }
        let given = &mut self.bytes[self.left - N..self.left];
        let mut taken = [0; N];
        // Each byte is returned once and erased here.
        taken.swap_with_slice(given);
        self.left -= N;
        taken
    }
}

/// Returns random bytes that no other caller gets.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    UNUSED.with_borrow_mut(Pool::take)
}

/// Returns a version 4 UUID ([RFC 9562, section 5.4](https://www.rfc-editor.org/rfc/rfc9562#section-5.4)).
pub(crate) fn uuid() -> Uuid {
    Builder::from_random_bytes(bytes()).into_uuid()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_bytes_are_given_twice() {
        let draw = || (0..1000).map(|_| bytes::<8>()).collect::<Vec<_>>();
        let mut all: HashSet<_> = draw().into_iter().collect();
        all.extend(std::thread::spawn(draw).join().unwrap());
        assert_eq!(all.len(), 2000);
        assert!(!all.contains(&[0; 8]));
        UNUSED.with_borrow(|pool| assert!(pool.bytes[pool.left..].iter().all(|&byte| byte == 0)));
    }

    #[test]
    fn every_bit_varies() {
        let (mut ones, mut zeros) = ([0_u8; 16], [0_u8; 16]);
        for _ in 0..100 {
            for (at, byte) in bytes::<16>().into_iter().enumerate() {
                ones[at] |= byte;
                zeros[at] |= !byte;
            }
        }
        assert_eq!((ones, zeros), ([0xff; 16], [0xff; 16]));
        assert_eq!(uuid().get_version_num(), 4);
    }
}
