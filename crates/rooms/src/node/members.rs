//! The members of a room, in the order in which they have joined, as values that are shared until they change.
//!
//! Whoever sends, or looks at who is there, takes a reference under the room's lock and needs it no longer. A change
//! copies only what somebody still looks at: the list of chunks, and one chunk.

use std::sync::Arc;

use axum_sockjs::Sender;

use super::tab::Tab;

/// So many that the list of a large room is short, and so few that a copy is.
const CHUNK: usize = 64;

pub(crate) struct Members<U, D> {
    /// None is empty.
    chunks: Vec<Arc<Chunk<U, D>>>,
    len: usize,
}

pub(crate) struct Chunk<U, D> {
    /// Apart, so that sending reads nothing else.
    senders: Vec<Sender>,
    about: Vec<About<U, D>>,
}

/// What is known of a member besides how it is sent to.
pub(crate) struct About<U, D> {
    /// Members are sorted by it: each has a higher one than those before.
    pub(crate) seq: u64,
    pub(crate) tab: Arc<Tab<U>>,
    pub(crate) data: Arc<D>,
}

impl<U, D> Clone for Members<U, D> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone(), len: self.len }
    }
}

impl<U, D> Clone for Chunk<U, D> {
    fn clone(&self) -> Self {
        // With room for the change that the copy is made for.
        let mut copy = Self {
            senders: Vec::with_capacity(self.senders.len() + 1),
            about: Vec::with_capacity(self.senders.len() + 1),
        };
        copy.senders.extend_from_slice(&self.senders);
        copy.about.extend_from_slice(&self.about);
        copy
    }
}

impl<U, D> Clone for About<U, D> {
    fn clone(&self) -> Self {
        Self { seq: self.seq, tab: Arc::clone(&self.tab), data: Arc::clone(&self.data) }
    }
}

impl<U, D> Default for Members<U, D> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<U, D> Chunk<U, D> {
    fn first(&self) -> u64 {
        self.about[0].seq
    }

    fn push(&mut self, sender: Sender, about: About<U, D>) {
        // Most rooms are small and full of what they hold: a `Vec` would double.
        let more = if self.senders.len() < 16 { 2 } else { 12 };
        if self.senders.len() == self.senders.capacity() {
            self.senders.reserve_exact(more);
        }
        if self.about.len() == self.about.capacity() {
            self.about.reserve_exact(more);
        }
        self.senders.push(sender);
        self.about.push(about);
    }

    fn append(&mut self, other: &Self) {
        self.senders.extend_from_slice(&other.senders);
        self.about.extend_from_slice(&other.about);
    }

    fn shrink(&mut self) {
        if self.senders.capacity() > 2 * self.senders.len() + 8 {
            self.senders.shrink_to_fit();
            self.about.shrink_to_fit();
        }
    }
}

impl<U, D> Members<U, D> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The senders, in slices.
    pub(crate) fn senders(&self) -> impl Iterator<Item = &[Sender]> {
        self.chunks.iter().map(|chunk| chunk.senders.as_slice())
    }

    /// The last sender, those beside it, and all others in slices.
    #[inline]
    pub(crate) fn split_last(&self) -> Option<(&Sender, &[Sender], impl Iterator<Item = &[Sender]>)> {
        let (chunk, chunks) = self.chunks.split_last()?;
        let (last, beside) = chunk.senders.split_last()?;
        Some((last, beside, chunks.iter().map(|chunk| chunk.senders.as_slice())))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &About<U, D>> {
        self.chunks.iter().flat_map(|chunk| &chunk.about)
    }

    /// Adds a member; its number must be higher than all others.
    pub(crate) fn push(&mut self, sender: Sender, about: About<U, D>) {
        self.len += 1;
        match self.chunks.last_mut() {
            Some(last) if last.senders.len() < CHUNK => Arc::make_mut(last).push(sender, about),
            _ => {
                let mut chunk = Chunk { senders: Vec::new(), about: Vec::new() };
                chunk.push(sender, about);
                if self.chunks.len() == self.chunks.capacity() {
                    self.chunks.reserve_exact(1 + self.chunks.len() / 4);
                }
                self.chunks.push(Arc::new(chunk));
            }
        }
    }

    /// The chunk of a member, and the place in it.
    fn find(&self, seq: u64) -> Option<(usize, usize)> {
        let at = self.chunks.partition_point(|chunk| chunk.first() <= seq).checked_sub(1)?;
        let within = self.chunks[at].about.binary_search_by_key(&seq, |about| about.seq).ok()?;
        Some((at, within))
    }

    /// Removes a member. What is returned has to be dropped outside of the lock.
    pub(crate) fn remove(&mut self, seq: u64) -> Option<(Sender, About<U, D>)> {
        let (at, within) = self.find(seq)?;
        self.len -= 1;
        let chunk = Arc::make_mut(&mut self.chunks[at]);
        let removed = (chunk.senders.remove(within), chunk.about.remove(within));
        if chunk.senders.is_empty() {
            self.chunks.remove(at);
        } else {
            chunk.shrink();
            self.merge(at);
        }
        Some(removed)
    }

    /// Joins a chunk with a neighbour if both are small: many that leave must not leave many chunks.
    fn merge(&mut self, at: usize) {
        let len = |at: usize| self.chunks.get(at).map_or(CHUNK, |chunk| chunk.senders.len());
        let first = if len(at) + len(at + 1) <= CHUNK / 2 {
            at
        } else if at > 0 && len(at) + len(at - 1) <= CHUNK / 2 {
            at - 1
        } else {
            return;
        };
        let second = self.chunks.remove(first + 1);
        Arc::make_mut(&mut self.chunks[first]).append(&second);
    }

    /// Returns what is known of a member.
    pub(crate) fn about(&self, seq: u64) -> Option<&About<U, D>> {
        self.find(seq).map(|(at, within)| &self.chunks[at].about[within])
    }

    /// Returns the data of a member.
    pub(crate) fn data(&self, seq: u64) -> Option<&Arc<D>> {
        self.find(seq).map(|(at, within)| &self.chunks[at].about[within].data)
    }

    /// Changes the data of a member. What is returned has to be dropped outside of the lock.
    pub(crate) fn set_data(&mut self, seq: u64, data: Arc<D>) -> Option<Arc<D>> {
        let (at, within) = self.find(seq)?;
        Some(std::mem::replace(&mut Arc::make_mut(&mut self.chunks[at]).about[within].data, data))
    }

    /// Calls `each` with what this list has and the other has not, or has otherwise. Chunks that both share cost one
    /// comparison.
    pub(crate) fn unlike<'a>(&'a self, other: &Self, mut each: impl FnMut(&'a About<U, D>)) {
        let mut theirs = other.chunks.as_slice();
        for chunk in &self.chunks {
            // Both are sorted.
            let before = theirs.partition_point(|their| their.first() < chunk.first());
            theirs = &theirs[before..];
            if theirs.first().is_some_and(|their| Arc::ptr_eq(their, chunk)) {
                continue;
            }
            for about in &chunk.about {
                let known = other.find(about.seq).map(|(at, within)| &other.chunks[at].about[within]);
                if !known.is_some_and(|known| Arc::ptr_eq(&known.data, &about.data)) {
                    each(about);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails so")]

    use std::collections::BTreeSet;

    use axum_sockjs::Pair;
    use proptest::{collection::vec, prelude::*};

    use super::*;

    type Numbers = Members<(), u64>;

    fn numbers(members: &Numbers) -> Vec<(u64, u64)> {
        members.iter().map(|about| (about.seq, *about.data)).collect()
    }

    /// What the one has, and the other has not or has otherwise.
    fn unlike(one: &Numbers, other: &Numbers) -> Vec<u64> {
        let mut found = Vec::new();
        one.unlike(other, |about| found.push(about.seq));
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

        /// Each step joins some, or removes or changes some from a place on; now and then somebody takes a copy.
        #[test]
        fn members_are_a_sorted_list(steps in vec((0..4_u8, 0..200_usize, any::<prop::sample::Index>()), 1..40)) {
            let (session, _peer) = Pair::new().open();
            let sender = session.sender();
            let tab = Arc::new(Tab::new(&sender, None));
            let mut members = Numbers::default();
            let mut model: Vec<(u64, u64)> = Vec::new();
            let mut next = 0;
            let (mut copy, mut copied) = (members.clone(), model.clone());
            for (step, many, place) in steps {
                if step == 0 {
                    (copy, copied) = (members.clone(), model.clone());
                }
                for round in 0..many {
                    if step < 2 {
                        let about = About { seq: next, tab: Arc::clone(&tab), data: Arc::new(0) };
                        members.push(sender.clone(), about);
                        model.push((next, 0));
                        next += 1;
                        continue;
                    }
                    if model.is_empty() {
                        break;
                    }
                    let at = (place.index(model.len()) + 3 * round) % model.len();
                    let seq = model[at].0;
                    if step == 2 {
                        model.remove(at);
                        prop_assert_eq!(members.remove(seq).map(|(_, about)| about.seq), Some(seq));
                        prop_assert!(members.remove(seq).is_none() && members.data(seq).is_none());
                    } else {
                        next += 1;
                        model[at].1 = next;
                        members.set_data(seq, Arc::new(next)).unwrap();
                        prop_assert_eq!(members.data(seq).map(|data| **data), Some(next));
                    }
                }
                prop_assert_eq!(&numbers(&members), &model);
                prop_assert_eq!(members.len(), model.len());
                prop_assert_eq!(members.senders().map(<[Sender]>::len).sum::<usize>(), model.len());
                // Two neighbours are never small together.
                prop_assert!(members.chunks.len() <= 1 + 4 * model.len() / CHUNK, "{} chunks", members.chunks.len());
                prop_assert_eq!(&numbers(&copy), &copied, "what was copied stays");
                let only = |these: &[(u64, u64)], those: &[(u64, u64)]| -> Vec<u64> {
                    let those: BTreeSet<_> = those.iter().collect();
                    these.iter().filter(|member| !those.contains(member)).map(|(seq, _)| *seq).collect()
                };
                prop_assert_eq!(unlike(&members, &copy), only(&model, &copied));
                prop_assert_eq!(unlike(&copy, &members), only(&copied, &model));
            }
        }
    }
}
