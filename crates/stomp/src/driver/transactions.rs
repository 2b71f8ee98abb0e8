//! Frames that wait for their `COMMIT`.

use std::collections::HashMap;

use bytestring::ByteString;

use crate::options::StompOptions;
use crate::session::Refusal;

/// The open transactions of a session.
#[derive(Debug)]
pub(super) struct Transactions<T> {
    open: HashMap<ByteString, Transaction<T>>,
    frames: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Transaction<T> {
    frames: Vec<T>,
    bytes: usize,
}

impl<T> Transactions<T> {
    pub(super) fn new() -> Self {
        Self { open: HashMap::new(), frames: 0, bytes: 0 }
    }

    pub(super) fn begin(&mut self, name: ByteString, options: &StompOptions) -> Result<(), Refusal> {
        if self.open.contains_key(&name) {
            return Err(Refusal::new("transaction already open"));
        }
        if self.open.len() >= options.max_transactions {
            return Err(Refusal::limit("max_transactions"));
        }
        self.open.insert(name, Transaction { frames: Vec::new(), bytes: 0 });
        Ok(())
    }

    /// Whether there is room for a frame.
    pub(super) fn check(&self, name: &str, bytes: usize, options: &StompOptions) -> Result<(), Refusal> {
        if !self.open.contains_key(name) {
            return Err(unknown());
        }
        if self.frames >= options.max_transaction_frames {
            return Err(Refusal::limit("max_transaction_frames"));
        }
        if self.bytes.saturating_add(bytes) > options.max_transaction_bytes {
            return Err(Refusal::limit("max_transaction_bytes"));
        }
        Ok(())
    }

    /// Keeps a frame for the end of a transaction.
    pub(super) fn add(
        &mut self,
        name: &str,
        frame: T,
        bytes: usize,
        options: &StompOptions,
    ) -> Result<(), Refusal> {
        self.check(name, bytes, options)?;
        let transaction = self.open.get_mut(name).ok_or_else(unknown)?;
        transaction.frames.push(frame);
        transaction.bytes += bytes;
        self.frames += 1;
        self.bytes += bytes;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn names(&self) -> impl Iterator<Item = &ByteString> {
        self.open.keys()
    }

    #[cfg(test)]
    pub(super) fn frames(&self, name: &str) -> &[T] {
        &self.open[name].frames
    }

    /// Ends a transaction, and returns its frames.
    pub(super) fn end(&mut self, name: &str) -> Result<Vec<T>, Refusal> {
        let transaction = self.open.remove(name).ok_or_else(unknown)?;
        self.frames -= transaction.frames.len();
        self.bytes -= transaction.bytes;
        Ok(transaction.frames)
    }
}

fn unknown() -> Refusal {
    Refusal::new("no such transaction")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
        let refusal = result.expect_err("refused");
        format!("{} {}", refusal.message, refusal.details)
    }

    #[test]
    fn frames_wait_for_their_own_transaction() {
        let (options, mut transactions) = (StompOptions::new(), Transactions::new());
        for name in ["a", "b"] {
            transactions.begin(name.into(), &options).unwrap();
        }
        for (name, frame) in [("a", 1), ("b", 2), ("a", 3)] {
            transactions.add(name, frame, 1, &options).unwrap();
        }
        assert_eq!(transactions.end("a").unwrap(), [1, 3]);
        assert_eq!(transactions.end("b").unwrap(), [2]);
        assert_eq!((transactions.frames, transactions.bytes), (0, 0));
        // A name is free after the end.
        assert!(message(transactions.end("a")).contains("no such transaction"));
        transactions.begin("a".into(), &options).unwrap();
        assert!(message(transactions.begin("a".into(), &options)).contains("already open"));
        assert!(message(transactions.add("b", 1, 1, &options)).contains("no such transaction"));
    }

    #[test]
    fn they_are_bounded_together() {
        let options =
            StompOptions::new().max_transactions(2).max_transaction_frames(3).max_transaction_bytes(10);
        let mut transactions = Transactions::new();
        for name in ["a", "b"] {
            transactions.begin(name.into(), &options).unwrap();
        }
        assert!(message(transactions.begin("c".into(), &options)).contains("max_transactions"));
        transactions.add("a", (), 9, &options).unwrap();
        assert!(message(transactions.add("b", (), 2, &options)).contains("max_transaction_bytes"));
        for name in ["a", "b"] {
            transactions.add(name, (), 0, &options).unwrap();
        }
        assert!(message(transactions.add("b", (), 0, &options)).contains("max_transaction_frames"));
        transactions.end("a").unwrap();
        transactions.add("b", (), 10, &options).unwrap();
    }
}
