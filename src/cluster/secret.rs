//! The keys that nodes derive from a shared secret.

use std::fmt;

use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit as _, Nonce, Tag,
    aead::{AeadInOut as _, inout::InOutBuf},
};
use hkdf::Hkdf;
use sha2::Sha256;

use super::node_id::NodeId;

/// The length of a nonce and of what authenticates a sealed text, in bytes.
pub(super) const NONCE: usize = 12;
pub(super) const MAC: usize = 16;

/// Separates the keys of this use from any other of the same text.
const SALT: &[u8] = b"axum-sockjs cluster 1";
const TAGS: &[u8] = b"tags";
const FORWARDED: &[u8] = b"forwarded by ";

/// A shared secret: makes keys.
pub(super) struct Secret {
    derive: Hkdf<Sha256>,
    /// Seals the names of nodes.
    pub(super) tags: Seal,
}

impl Secret {
    pub(super) fn new(text: &[u8]) -> Self {
        let derive = Hkdf::new(Some(SALT), text);
        let tags = Seal::derived(&derive, &[TAGS]);
        Self { derive, tags }
    }

    /// The key for what one start of a node adds to requests. Each has its own, so that a counter is nonce enough.
    pub(super) fn forwarded_by(&self, node: &NodeId) -> Seal {
        let mut name = Vec::new();
        node.encode(&mut name);
        Seal::derived(&self.derive, &[FORWARDED, &name])
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}

/// One key: encrypts and authenticates.
#[derive(Clone)]
pub(super) struct Seal(ChaCha20Poly1305);

impl Seal {
    fn derived(derive: &Hkdf<Sha256>, purpose: &[&[u8]]) -> Self {
        let mut key = [0; 32];
        derive.expand_multi_info(purpose, &mut key).expect("a key is shorter than what can be derived");
        Self(ChaCha20Poly1305::new(&key.into()))
    }

    /// Encrypts what stands in `text` from `start` on, and appends what authenticates it together with `context`. No
    /// nonce may be used twice.
    pub(super) fn seal(&self, nonce: [u8; NONCE], context: &[u8], text: &mut Vec<u8>, start: usize) {
        let sealed = InOutBuf::from(&mut text[start..]);
        let mac = self.0.encrypt_inout_detached(&Nonce::from(nonce), context, sealed);
        // Only more than 256 GiB have no place in one nonce.
        text.extend_from_slice(&mac.expect("a short text can be sealed"));
    }

    /// Decrypts what [`seal`](Self::seal) has made. `None` if it has not, or with another context.
    pub(super) fn open(&self, nonce: [u8; NONCE], context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (sealed, mac) = sealed.split_last_chunk::<MAC>()?;
        let mut text = sealed.to_vec();
        let opened = InOutBuf::from(&mut text[..]);
        self.0.decrypt_inout_detached(&Nonce::from(nonce), context, opened, &Tag::from(*mac)).ok()?;
        Some(text)
    }
}
