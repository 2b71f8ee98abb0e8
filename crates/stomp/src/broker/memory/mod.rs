//! A broker within this process.

mod pattern;
mod trie;
